/* Options of a configuration that say what is read. */
#include "config.h"

#include <math.h>

#include "wabun/dataset.h"

#define AT(field) WB_OPTION_AT (wb_data_options_t, field)

const wb_option_t wb_data_options[] = {
    {"data.train", WB_OPTION_PARTS, AT (train), "=must be given", .max = HUGE_VAL, .open = WB_OPTION_ABOVE,
     .unit = "PREFIX", .help = "token file, or a list of groups { tokens = PREFIX; weight = 1; }"},
    {"data.validation", WB_OPTION_TEXT, AT (validation), "=none", .unit = "PREFIX",
     .help = "token file for the validation loss"},
    {"data.shuffle", WB_OPTION_BOOL, AT (shuffle), "true",
     .help = "draw the windows in random order; false: in the order of the file"},
    {0},
};
