/* Options of a configuration that say which ranks there are. */
#include "config.h"

#include "wabun/parallel.h"

const char *const wb_schedule_names[] = {"gpipe", "1f1b", NULL};

#define AT(field) WB_OPTION_AT (wb_parallel_options_t, field)

const wb_option_t wb_parallel_options[] = {
    {"parallel.data", WB_OPTION_INT, AT (data), "0", .max = 1048576, .unit = "ranks",
     .help = "copies of the model; 0: the ranks that are left over"},
    {"parallel.pipeline", WB_OPTION_INT, AT (pipeline), "1", .min = 1, .max = WB_MAX_STAGES, .unit = "ranks",
     .help = "stages the layers are cut into"},
    {"parallel.tensor", WB_OPTION_INT, AT (tensor), "1", .min = 1, .max = 4096, .unit = "ranks",
     .help = "slices each layer is cut into"},
    {"parallel.threads", WB_OPTION_INT, AT (threads), "0", .max = 4096, .unit = "threads",
     .help = "threads of a rank; 0: OMP_NUM_THREADS, or cores / ranks on the node"},
    {0},
};
