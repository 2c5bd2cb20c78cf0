# A Perl process with a large hash and strings of which some are equal.
my %count;
$count{"word " . ($_ % 5000)} += $_ for 1 .. 50000;
my @pages = map { chr(65 + $_ % 26) x 8192 } 1 .. 300;
kill 'STOP', $$;
