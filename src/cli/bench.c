/* wabun bench: the command line goes to the bench that it names (bench.h). */
#include "config.h"

#include "cli/cli.h"
#include "wabun/bench.h"

wb_status wb_cmd_bench (int argc, char **argv) { return wb_bench_run (argc, argv); }
