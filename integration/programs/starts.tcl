# Starts `probe` in each way that Tcl has, named on the command line.
foreach way $argv {
    puts $way
    flush stdout
    switch $way {
        exec { puts [exec probe $way] }
        exec-status {
            puts [catch { exec probe $way 7 } text options]
            puts [lindex [dict get $options -errorcode] 2]
            puts $text
        }
        exec-stdout { exec probe $way >@ stdout }
        open {
            set channel [open "|[list probe $way]"]
            puts [read $channel]
            close $channel
        }
        default { error "no such way: $way" }
    }
}
