/* What every command that uses a model shares: its options, threads, the model with a tokenizer. */
#include "config.h"

#include <stdlib.h>

#include "wabun/infer.h"
#include "wabun/launch.h"

wb_status wb_using_option (wb_using_t *u, wb_opts_t *o, bool *taken) {
    *taken = true;
    if (wb_opts_is (o, "--model")) return wb_opts_text (o, &u->model);
    if (wb_opts_is (o, "--tokenizer")) return wb_opts_text (o, &u->tokenizer);
    if (wb_opts_is (o, "--threads")) return wb_opts_int (o, &u->threads, 1, 4096);
    *taken = false;
    return WB_OK;
}

wb_status wb_using_open (wb_model_t **out, const wb_using_t *u, const char *command) {
    *out = NULL;
    if (u->model == NULL)
        return WB_FAIL (WB_EUSAGE, "%s wants --model DIR: a checkpoint, or any Hugging Face GPT-2 directory", command);
    WB_TRY (wb_threads_check (u->threads));
    if (u->threads > 0 || getenv ("OMP_NUM_THREADS") == NULL) {
        const int cores = wb_cpu_cores (), threads = u->threads > 0 ? (int) u->threads : cores;
        if (threads > cores) wb_warn ("%d threads on %d cores: expect it to be slow", threads, cores);
        wb_kern_threads_set (threads);
        wb_blas_threads_set (threads);
    }
    WB_TRY (wb_model_load (out, u->model, u->tokenizer));
    if ((*out)->tokenizer != NULL) return WB_OK;
    wb_model_destroy (*out);
    *out = NULL;
    char known[WB_TOKENIZER_KNOWN];
    return WB_FAIL (WB_EDATA, "model %s: no tokenizer in it: name the one it was trained with by --tokenizer T; %s",
                    u->model, wb_tokenizer_known (known));
}
