/* Options of a configuration that belong to a training step: how it is cut, and its optimizer. */
#include "config.h"

#include <math.h>

#include "wabun/train.h"

const char *const wb_precision_names[] = {"fp32", "bf16", "bf16-anywhere", NULL};
const char *const wb_muon_layout_names[] = {"auto", "whole", "grid", NULL};

/* Number 0 by name. */
static const char *const all[] = {"all", NULL};

#define AT(field) WB_OPTION_AT (wb_step_options_t, field)

const wb_option_t wb_train_options[] = {
    {"parallel.zero", WB_OPTION_INT, AT (zero), "1", .max = 1,
     .help = "1: optimizer state is cut over the copies (ZeRO-1); 0: whole on each"},
    {"parallel.micro_batch", WB_OPTION_INT, AT (B), "0", .max = 65536, .unit = "sequences",
     .help = "sequences that go through a stage at once; 0: by threads and memory"},
    {"parallel.recompute", WB_OPTION_CHOICE, AT (recompute), "none", .choices = wb_recompute_names,
     .help = "activations computed again in the backward pass: less memory, more arithmetic"},
    {"parallel.interleave", WB_OPTION_INT, AT (chunks), "1", .min = 1, .max = WB_MAX_CHUNKS, .unit = "chunks",
     .help = "chunks of layers a stage holds; wants 1f1b"},
    {"parallel.sequence_parallel", WB_OPTION_BOOL, AT (sequence), "false",
     .help = "cut LayerNorms over the tensor ranks too"},
    {"parallel.wire", WB_OPTION_CHOICE, AT (wire), "fp32", .choices = wb_wire_names,
     .help = "gradients and weights on the network; bf16: half the bytes"},
    {"parallel.schedule", WB_OPTION_CHOICE, AT (schedule), "1f1b", .choices = wb_schedule_names,
     .help = "order of micro-batches in the pipeline"},

    {"finetune.layers", WB_OPTION_INT, AT (tuning.layers), "all", .min = 1, .max = 4096, .choices = all,
     .unit = "layers", .help = "the last so many layers, with the final LayerNorm, learn; all: every parameter"},

    {"finetune.lora_rank", WB_OPTION_INT, AT (tuning.rank), "0", .max = 65536,
     .help = "above 0: the model is frozen, adapters of this rank learn (LoRA); wants model.base"},
    {"finetune.lora_alpha", WB_OPTION_FLOAT, AT (tuning.alpha), "16", .max = HUGE_VAL, .open = WB_OPTION_ABOVE,
     .help = "what adapters add is multiplied by lora_alpha / lora_rank"},
    {"finetune.targets", WB_OPTION_TEXT, AT (tuning.targets), "=all four", .unit = "names",
     .help = "linear layers that have adapters: of c_attn, attn.c_proj, c_fc, mlp.c_proj, with commas"},
    {"train.global_batch", WB_OPTION_INT, AT (global_batch), "64", .min = 1, .max = 1e7, .unit = "sequences",
     .help = "sequences in a step, over all ranks"},
    {"train.steps", WB_OPTION_INT, AT (optim.steps), "10000", .min = 1, .max = WB_OPTION_MANY, .unit = "steps",
     .help = "steps in all, those before a resume included"},
    {"train.sequence_length", WB_OPTION_INT, AT (T), "0", .max = 1048576, .unit = "tokens",
     .help = "window; 0: the context of the model"},
    {"train.precision", WB_OPTION_CHOICE, AT (precision), "fp32", .choices = wb_precision_names,
     .help = "of products; bf16: twice as fast, wants AVX-512 BF16 or AMX; bf16-anywhere: or is slow"},
    {"train.measure_products", WB_OPTION_BOOL, AT (measure_products), "true",
     .help = "find out at the start which products BLAS does faster than oneDNN; false: all by oneDNN"},
    {"train.optimizer", WB_OPTION_CHOICE, AT (optim.kind), "adamw", .choices = wb_optim_names,
     .help = "adam_tf1: with eps as TensorFlow 1 places it; muon: matrices by Muon, the rest by AdamW"},
    {"train.lr", WB_OPTION_FLOAT, AT (optim.lr), "6e-4", .max = HUGE_VAL, .open = WB_OPTION_ABOVE,
     .help = "highest learning rate"},
    {"train.warmup", WB_OPTION_INT, AT (optim.warmup), "200", .max = WB_OPTION_MANY, .unit = "steps",
     .help = "steps over which the rate rises from 0"},
    {"train.decay", WB_OPTION_CHOICE, AT (optim.decay), "cosine", .choices = wb_decay_names,
     .help = "how the rate falls after the warm-up"},
    {"train.min_lr", WB_OPTION_FLOAT, AT (optim.min_lr), "=train.lr / 10", .max = HUGE_VAL,
     .help = "learning rate of the last step"},
    {"train.beta1", WB_OPTION_FLOAT, AT (optim.beta1), "0.9", .max = 1, .open = WB_OPTION_BELOW,
     .help = "Adam: mean of gradients"},
    {"train.beta2", WB_OPTION_FLOAT, AT (optim.beta2), "0.95", .max = 1, .open = WB_OPTION_BELOW,
     .help = "Adam: mean of their squares"},
    {"train.eps", WB_OPTION_FLOAT, AT (optim.eps), "1e-8", .max = 1, .open = WB_OPTION_ABOVE,
     .help = "Adam and Adagrad: added to the root"},
    {"train.weight_decay", WB_OPTION_FLOAT, AT (optim.weight_decay), "0.1", .max = HUGE_VAL,
     .help = "decay of matrices (biases and norms have none)"},
    {"train.clip", WB_OPTION_FLOAT, AT (optim.clip), "1", .max = HUGE_VAL,
     .help = "largest norm of the gradient of all parameters together; 0: not clipped"},

    {"train.muon_momentum", WB_OPTION_FLOAT, AT (optim.muon_momentum), "0.95", .max = 1, .open = WB_OPTION_BELOW,
     .help = "Muon: how much of the last momentum stays"},
    {"train.muon_nesterov", WB_OPTION_BOOL, AT (optim.muon_nesterov), "true", .help = "Muon: Nesterov's momentum"},
    {"train.muon_steps", WB_OPTION_INT, AT (optim.muon_steps), "5", .min = 1, .max = 20, .unit = "iterations",
     .help = "Muon: Newton-Schulz iterations of an update"},
    {"train.muon_rms", WB_OPTION_FLOAT, AT (optim.muon_rms), "0.2", .max = HUGE_VAL, .open = WB_OPTION_ABOVE,
     .help = "Muon: root mean square of an update; 0.2 is that of AdamW, whose learning rates then fit"},
    {"train.muon_split_qkv", WB_OPTION_BOOL, AT (optim.muon_split_qkv), "true",
     .help = "Muon: queries, keys and values are three matrices, not one"},
    {"train.muon_layout", WB_OPTION_CHOICE, AT (optim.muon_layout), "auto", .choices = wb_muon_layout_names,
     .help = "Muon, zero = 1: a matrix belongs to one data rank, or several share it; auto: measured"},
    {"train.muon_check", WB_OPTION_INT, AT (optim.muon_check), "0", .max = WB_OPTION_MANY, .unit = "steps",
     .help = "Muon: steps between checks of the singular values of an update; 0: never"},
    {0},
};
