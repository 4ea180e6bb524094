# Starts `probe` in each way that Ruby has, named on the command line.
require "open3"
$stdout.sync = true

WAYS = {
  "system-list" => ->(label) { p system("probe", label) },
  "system-word" => ->(label) { p system("probe #{label}") },
  "system-shell" => ->(label) { p system("probe #{label} 7; exit 3") },
  "system-env" => ->(label) { p system({ "PROBE_MARK" => "changed" }, "probe", label) },
  "system-unset" => lambda { |label|
    p system({ "PATH" => ENV["PATH"] }, "probe", label, unsetenv_others: true)
  },
  "system-chdir" => ->(label) { p system("probe", label, chdir: "/") },
  "system-argv0" => ->(label) { p system(%w[probe another-name], label) },
  "backticks" => ->(label) { puts `probe #{label}` },
  "spawn" => ->(label) { p Process.wait2(spawn("probe", label, "7"))[1].exitstatus },
  "fork-exec" => ->(label) { p Process.wait2(fork { exec "probe", label })[1].exitstatus },
  "popen" => ->(label) { puts IO.popen(["probe", label]).read },
  "open3" => ->(label) { puts Open3.capture3("probe", label)[0] },
}.freeze

ARGV.each do |way|
  puts way
  WAYS.fetch(way).call(way)
end
