# Starts `probe` in each way that Perl has, named on the command line.
use strict;
use warnings;
use IPC::Open3;
$| = 1;

my %ways = (
    'system-list' => sub { print system('probe', $_[0]), "\n" },
    'system-word' => sub { print system("probe $_[0]"), "\n" },
    'system-shell' => sub { print system("probe $_[0] 7; exit 3"), "\n" },
    'system-status' => sub { print system('probe', $_[0], 7), "\n" },
    'backticks' => sub { print `probe $_[0]`, $?, "\n" },
    'open-read' => sub {
        open(my $pipe, '-|', 'probe', $_[0]) or die $!;
        print <$pipe>;
        close $pipe;
        print "$?\n";
    },
    'open-write' => sub {
        open(my $pipe, '|-', 'probe', $_[0]) or die $!;
        close $pipe;
        print "$?\n";
    },
    'open3' => sub {
        my $pid = open3(my $in, my $out, undef, 'probe', $_[0]);
        print <$out>;
        waitpid($pid, 0);
        print "$?\n";
    },
    'fork-exec' => sub {
        my $pid = fork;
        if (!$pid) { exec 'probe', $_[0] or die $! }
        waitpid($pid, 0);
        print "$?\n";
    },
    'exec-block' => sub {
        my $pid = fork;
        if (!$pid) { exec { 'probe' } 'another-name', $_[0] or die $! }
        waitpid($pid, 0);
        print "$?\n";
    },
);

for my $way (@ARGV) {
    print "$way\n";
    ($ways{$way} or die "no such way: $way")->($way);
}
