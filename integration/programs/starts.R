# Starts `probe` in each way that R has, named on the command line.
ways <- list(
  "system" = function(label) print(system(paste("probe", label))),
  "system-intern" = function(label) print(system(paste("probe", label), intern = TRUE)),
  "system-status" = function(label) print(system(paste("probe", label, "7"))),
  "system2" = function(label) print(system2("probe", label)),
  "system2-stdout" = function(label) print(system2("probe", label, stdout = TRUE)),
  "pipe" = function(label) {
    connection <- pipe(paste("probe", label))
    print(readLines(connection))
    close(connection)
  }
)
for (way in commandArgs(trailingOnly = TRUE)) {
  cat(way, "\n", sep = "")
  flush(stdout())
  ways[[way]](way)
}
