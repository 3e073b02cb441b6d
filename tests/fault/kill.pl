#!/usr/bin/perl
# kill.pl - SIGKILL of random ranks at random moments, a third of them while a checkpoint is being saved.
#
#   perl tests/fault/kill.pl [--seed S] [--count N] [--ranks R] [--steps K] [--dir DIR] [--wabun PROGRAM] [KEY=VALUE]...
#
# A small run of R ranks is started again and again by mpirun, and each time one of its ranks is killed: one time in
# three as soon as a checkpoint that is not complete is seen, one in three at a random moment of the start, else after a
# few steps.  Checked at each start: it goes on from the newest complete checkpoint.  When a run has come to its end:
# every step is in metrics.jsonl once, and the weights and the optimizer's state are, bit by bit, those of a run that was
# never killed.  Then the next run begins, until N kills are done.  KEY=VALUE are given to wabun train by --set.
#
# The last line: kills, resumes, runs compared, kills that left half a checkpoint, launchers that hung (an mpirun whose
# rank dies in MPI_Init may never end: it is killed as well).  Exit code 0: nothing was wrong.
use strict;
use warnings;
use Cwd 'getcwd';
use Digest::MD5;
use File::Path qw(make_path remove_tree);
use Time::HiRes qw(sleep time);

my %o = (seed => 1, count => 6, ranks => 4, steps => 400, dir => undef, wabun => $ENV{WABUN} || './wabun');
my @sets;
while (@ARGV) {
  my $a = shift;
  if ($a =~ /^--(seed|count|ranks|steps|dir|wabun)$/ && @ARGV) { $o{$1} = shift }
  elsif ($a =~ /^[a-z_.]+=/) { push @sets, $a }
  else { print STDERR "kill.pl: unknown argument $a\n"; exit 2 }
}
$o{wabun} = getcwd . "/$o{wabun}" unless $o{wabun} =~ m{^/};
my $own = !defined $o{dir};
$o{dir} //= ($ENV{T_TMP} || $ENV{TMPDIR} || '/tmp') . "/wabun-kill-$$";
make_path $o{dir};
chdir $o{dir} or die "$o{dir}: $!\n";
srand $o{seed};
$ENV{$_} = 1 for qw(OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM OMPI_MCA_mpi_yield_when_idle
  OMPI_MCA_orte_execute_quiet OMP_NUM_THREADS OPENBLAS_NUM_THREADS WABUN_NO_RETUNE);
$ENV{LC_ALL} = 'C.UTF-8';
my @mpirun = (split (' ', $ENV{MPIRUN} || 'mpirun'), split (' ', $ENV{MPIRUN_FLAGS} || '--oversubscribe --bind-to none'));
my $bad = 0;
$| = 1;
sub wrong { print "kill.pl: @_\n"; $bad++ }
sub slurp { open my $f, '<', shift or return ''; local $/; return <$f> // '' }

# ---- the run -------------------------------------------------------------------------------------------------------------

open my $text, '>', 'text' or die;
printf $text "むかしむかし、ある村の%d番目の家におじいさんが住んでいました。%d日目に川へ行きました。\n", $_, 7 * $_ % 31 for 0 .. 59;
close $text;
system ($o{wabun}, qw(encode --tokenizer byte -o tokens text)) == 0 or die "kill.pl: cannot encode\n";
open my $cfg, '>', 'cfg' or die;
print $cfg <<"CFG";
run = "run";
seed = 3;
tokenizer = "byte";
model = { layers = 2; width = 64; heads = 4; context = 32; };
data = { train = "tokens"; };
train = { global_batch = 12; steps = $o{steps}; lr = 3e-3; warmup = 5; };
checkpoint = { every = 7; keep = 3; };
log = { every = 1; };
CFG
close $cfg;

sub start { # RUN: mpirun in the background
  my $run = shift;
  my $pid = fork // die "fork: $!\n";
  if ($pid == 0) {
    open STDIN, '<', '/dev/null';
    open STDOUT, '>', "$run.log";
    open STDERR, '>&', \*STDOUT;
    setpgrp;
    exec @mpirun, '-n', $o{ranks}, $o{wabun}, 'train', 'cfg', '--set', "run=$run", map { ('--set', $_) } @sets;
    die;
  }
  return $pid;
}
my $name = substr $o{wabun} =~ s{.*/}{}r, 0, 15; # as /proc has it
sub ranks_of { # the ranks that live: pids
  my $launcher = shift;
  my @pids;
  for my $stat (glob '/proc/[0-9]*/stat') {
    next unless slurp ($stat) =~ /^(\d+) \((.*)\) (\S) (\d+) /s && $4 == $launcher && $3 ne 'Z';
    push @pids, $1 if $2 eq $name;
  }
  return sort { $a <=> $b } @pids;
}
my $hung = 0;
sub finish { # launcher, seconds: waits for its end, and kills what hangs; its exit code
  my ($pid, $limit) = @_;
  my $end = time + $limit;
  while (time < $end) {
    return $? >> 8 || $? & 127 if waitpid ($pid, 1) == $pid; # WNOHANG
    sleep 0.01;
  }
  $hung++;
  kill 'KILL', ranks_of ($pid), $pid;
  waitpid $pid, 0;
  sleep 1;
  return -1;
}
sub newest { # RUN: step of the newest complete checkpoint
  my ($step) = sort { $b <=> $a } map { m{/step-(\d+)$} ? $1 + 0 : () } glob "$_[0]/step-*";
  return $step // 0;
}
sub half_saved { my @names = glob "$_[0]/step-*.tmp*"; return scalar @names }
sub begun { my @steps = slurp ("$_[0]/history.jsonl") =~ /^\{"event":"began".*"step":(\d+)/mg; return @steps }
sub last_step { my $s = slurp ("$_[0]/metrics.jsonl"); my @s = $s =~ /^\{"step": (\d+),.*"loss"/mg; return $s[-1] // 0 }
sub digest {
  my $md5 = Digest::MD5->new;
  for my $name (qw(model.safetensors optimizer.safetensors)) {
    open my $f, '<:raw', "$_[0]/latest/$name" or return "$name is missing";
    $md5->addfile ($f);
  }
  return $md5->hexdigest;
}

my $began = time;
my $code = finish (start ('whole'), 600);
die "kill.pl: the run that is not killed ended with $code\n" . slurp ('whole.log') if $code != 0;
my ($wanted, $seconds) = (digest ('whole'), time - $began);
printf "# never killed: %d steps in %.1f s\n", $o{steps}, $seconds;

# ---- kills ---------------------------------------------------------------------------------------------------------------

my %kills = (start => 0, step => 0, save => 0);
my ($n, $run, $runs, $resumes, $torn, $start_seconds) = (0, 'run-1', 0, 0, 0, 2);

# Wait for the moment, kill; 0: the run ended before.
sub kill_one {
  my ($pid, $kind, $starts, $base) = @_;
  my $born = time;
  my $limit = $born + 300;
  if ($kind eq 'start') {
    sleep rand $start_seconds;
  } else {
    while (begun ($run) == $starts) {
      return 0 if waitpid ($pid, 1) == $pid || time > $limit;
      sleep 0.005;
    }
    $start_seconds = time - $born;
    my $target = $base + int rand 21; # three saves: so much is gained by a start
    while (last_step ($run) < $target || ($kind eq 'save' && !half_saved ($run))) {
      return 0 if waitpid ($pid, 1) == $pid || time > $limit;
      sleep 0.001;
    }
    sleep rand 0.02;
  }
  my @pids = ranks_of ($pid) or return waitpid ($pid, 1) == $pid ? 0 : kill_later ($pid);
  return kill 'KILL', $pids[rand @pids];
}
sub kill_later { # mpirun has started none yet
  my $pid = shift;
  my $limit = time + 60;
  while (time < $limit) {
    my @pids = ranks_of ($pid);
    return kill 'KILL', $pids[rand @pids] if @pids;
    return 0 if waitpid ($pid, 1) == $pid;
    sleep 0.005;
  }
  return 0;
}

# After a start: did it begin where it had to?
sub check_begin {
  my ($starts, $base) = @_;
  my @steps = begun ($run);
  return if @steps == $starts; # it did not come so far
  $resumes++ if $base > 0;
  wrong ("$run, kill $n: began at step $steps[-1], the newest complete checkpoint was of step $base") if $steps[-1] != $base;
}
sub check_end {
  $runs++;
  my @steps = slurp ("$run/metrics.jsonl") =~ /^\{"step": (\d+),.*"loss"/mg;
  my $once = @steps == $o{steps} && !grep { $steps[$_] != $_ + 1 } 0 .. $#steps;
  wrong ("$run: metrics.jsonl does not have every step once") unless $once;
  wrong ("$run: the weights are other ones") unless digest ($run) eq $wanted;
  remove_tree $run unless $bad;
  $run = 'run-' . ($runs + 1);
}

my ($stuck, $unkilled) = (0, 0);
while ($n < $o{count} || -d $run) {
  my $kind = $n >= $o{count} ? 'none' : (qw(save start step))[$n % 3];
  my @before = begun ($run);
  my $base = newest ($run);
  my $pid = start ($run);
  my $killed = $kind eq 'none' ? 0 : kill_one ($pid, $kind, scalar @before, $base);
  my $code = $killed || kill (0, $pid) ? finish ($pid, $killed ? 15 : 600) : 0;
  check_begin (scalar @before, $base);
  if ($killed) {
    $n++;
    $kills{$kind}++;
    $torn += half_saved ($run) > 0;
    $stuck = newest ($run) > $base ? 0 : $stuck + 1;
    print "# $n kills, step ", newest ($run), "\n" if $n % 20 == 0;
  } elsif (newest ($run) >= $o{steps}) {
    $unkilled++;
    check_end;
  } else {
    wrong ("$run: not killed, and not at its end (code $code):\n" . slurp ("$run.log"));
  }
  wrong ('no rank was found to be killed') if $unkilled > 5 && $n == 0;
  last if $unkilled > 5 && $n == 0;
  last if $bad > 5 || $stuck > 50;
}
wrong ('no progress') if $stuck > 50;
printf "%d kills (%d while saving, %d at the start, %d between steps), %d resumes, %d runs compared, %d half checkpoints left, "
  . "%d launchers hung, %.0f s, seed %d: %s\n", $n, $kills{save}, $kills{start}, $kills{step}, $resumes, $runs, $torn, $hung,
  time - $began, $o{seed}, $bad ? "$bad WRONG" : 'all right';
chdir '/';
remove_tree $o{dir} if $own && !$bad;
exit ($bad ? 1 : 0);
