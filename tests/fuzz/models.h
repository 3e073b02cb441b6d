/* What the harnesses of models share. */
#ifndef WABUN_FUZZ_MODELS_H
#define WABUN_FUZZ_MODELS_H

#include "wabun/checkpoint.h"
#include "wabun/model.h"

/* Join a file of parameters first .. end - 1, all zero, to out. */
void fuzz_put_safetensors (wb_buf_t *out, const wb_params_t *params, int first, int end, wb_dtype dtype);

#endif
