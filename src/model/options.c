/* Options of a configuration that belong to the model: what it is, or what it starts from. */
#include "config.h"

#include "wabun/model.h"

const char *const wb_recompute_names[] = {"none", "attention", "block", NULL};

#define AT(field) WB_OPTION_AT (wb_model_options_t, field)

const wb_option_t wb_model_options[] = {
    {"model.preset", WB_OPTION_CHOICE, AT (preset), "=none", .choices = wb_preset_names,
     .help = "sizes by name; those below override it one by one"},
    {"model.base", WB_OPTION_TEXT, AT (base), "=none", .unit = "directory",
     .help = "start from the weights and sizes of this model"},
    {"model.layers", WB_OPTION_INT, AT (size.L), "=of preset or base", .max = 4096, .unit = "layers",
     .help = "transformer blocks"},
    {"model.width", WB_OPTION_INT, AT (size.C), "=of preset or base", .max = 131072, .unit = "floats",
     .help = "width of the residual stream"},
    {"model.heads", WB_OPTION_INT, AT (size.H), "=of preset or base", .max = 4096, .unit = "heads",
     .help = "attention heads; they must divide the width"},
    {"model.context", WB_OPTION_INT, AT (size.T), "=of preset or base", .max = 1048576, .unit = "tokens",
     .help = "positions the model has"},
    {"model.vocab_size", WB_OPTION_INT, AT (size.V), "=of tokenizer or base", .max = 67108864, .unit = "tokens",
     .help = "size of the vocabulary"},
    {0},
};
