/* What the harnesses of models share. */
#ifndef WABUN_FUZZ_MODELS_H
#define WABUN_FUZZ_MODELS_H

#include "wabun/checkpoint.h"
#include "wabun/model.h"

/* Join a file of parameters first .. end - 1, all zero, to out. */
void fuzz_put_safetensors (wb_buf_t *out, const wb_params_t *params, int first, int end, wb_dtype dtype);
/* Make a model that is zero into out as an input of the harness of directories: config.json, model.safetensors. */
void fuzz_put_model (wb_buf_t *out, int64_t C);
/* Look at a file or directory as inspect does, and read all weights where it is a model. */
void fuzz_use_model (const char *path);

#endif
