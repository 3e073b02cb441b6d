/* a tiny random model on disk, for the tests of generate, score and transform
 *
 *   make_model DIR                 writes one (2 layers, 32 positions, byte tokenizer) that prefers the letters a .. z
 *   make_model --bare DIR          without its tokenizer
 *   make_model --score DIR TEXT [STRIDE]   log-probability of a line, token by token, each from a cache of its own
 *   make_model --vector DIR TEXT   the vector of a text, in the same way
 *   make_model --sums DIR FILE     makes checksums.json right for a file that was changed on purpose
 * Without arguments it is a test itself: what is written comes back. */
#include "config.h"

#include <inttypes.h>
#include <jansson.h>
#include <string.h>

#include "t.h"
#include "wabun/infer.h"
#include "wabun/kv_cache.h"

static const wb_size_t size = {2, 32, 2, 32, 257};

static wb_status table (wb_params_t **out) {
    wb_layout_t lo;
    WB_TRY (wb_layout_init (&lo, 1, 1, 1, 1, size.L, size.H, 0, 0));
    wb_layout_place (&lo, 0);
    return wb_params_new (out, &size, &lo);
}

static void fill (const wb_params_t *params, float *w) {
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        wb_rng_fill_normal (w + p->offset, p->rows * p->cols, 0.2, 11, wb_rng_stream (p->name), 0);
        if (p->init == WB_INIT_ONE)
            for (int64_t j = 0; j < p->cols; j++) w[p->offset + j] += 1.0f;
    }
    /* One channel of the output layer tells letters and the end from all other bytes. */
    float *wte = w + wb_params_find (params, "wte.weight")->offset;
    w[wb_params_find (params, "ln_f.weight")->offset] = 0.0f;
    w[wb_params_find (params, "ln_f.bias")->offset] = 20.0f;
    for (int v = 0; v < size.V; v++) wte[v * size.C] = v >= 'a' && v <= 'z' ? 0.5f : v == 256 ? 0.45f : -0.5f;
}

static wb_status save (const char *dir, const wb_params_t *params, float *w, bool bare) {
    wb_segment_t *segments = wb_calloc ((size_t) params->n, sizeof *segments);
    char *config = wb_model_config_text (&size, 256);
    const wb_ckpt_set_t set = {.file = "model.safetensors", .prefix = "", .data = w};
    const wb_ckpt_text_t texts[] = {{"config.json", config}, {"wabun-tokenizer.json", "{\"kind\": \"byte\"}\n"}};
    wb_comm_t *world;
    if (segments == NULL || config == NULL) return WB_ENOMEM;
    for (int i = 0; i < params->n; i++) {
        const wb_param_t *p = &params->list[i];
        segments[i] = (wb_segment_t){.param = p, .count = wb_param_own (p), .flat = p->offset};
    }
    WB_TRY (wb_world_new (&world));
    const wb_ckpt_job_t job = {params->list, params->n, segments, params->n, &set, 1,   texts,
                               bare ? 1 : 2, NULL,      0,        NULL,      NULL, NULL};
    wb_status status = wb_ckpt_save (world, dir, &job);
    wb_world_destroy (world);
    wb_free (config);
    wb_free (segments);
    return status;
}

static wb_status make (const char *dir, bool bare) {
    wb_params_t *params;
    WB_TRY (table (&params));
    float *w = wb_calloc ((size_t) params->own, sizeof *w);
    if (w == NULL) return WB_ENOMEM;
    fill (params, w);
    wb_status status = save (dir, params, w, bare);
    wb_free (w);
    wb_params_destroy (params);
    return status;
}

/* Logits behind ids[0 .. n - 1] and the state of the last, one token a time. */
static void run (wb_infer_t *inf, float *hidden, float *logits, const int32_t *ids, int64_t n) {
    const int seq = 0;
    const int64_t one = 1;
    wb_infer_rewind (inf, 0, 0);
    for (int64_t i = 0; i < n; i++) wb_infer_push (inf, hidden, logits, ids + i, &seq, &one, 1);
}

static wb_status ask (const char *dir, const char *text, int64_t stride, bool vector, bool confidence) {
    wb_model_t *m;
    wb_infer_t *inf;
    float hidden[32], logits[257];
    wb_ids_t ids = {0};
    double total = 0;
    WB_TRY (wb_model_load (&m, dir, "byte"));
    WB_TRY (wb_infer_new (&inf, &m->size, m->params, m->weights, (wb_infer_form_t){0}, wb_kern_ref (), 1, 0, 1));
    if (!vector) WB_TRY (wb_ids_put (&ids, 256));
    WB_TRY (wb_tokenizer_encode (m->tokenizer, &ids, text, strlen (text), false));
    if (vector) {
        run (inf, hidden, logits, ids.data, ids.len);
        for (int i = 0; i < 32; i++) printf ("%s%.5f", i > 0 ? " " : "", (double) hidden[i]);
        printf ("\n");
    } else {
        WB_TRY (wb_ids_put (&ids, 256));
        for (int64_t j = 1; j < ids.len; j++) { /* the target; its window begins at a multiple of the stride */
            const int64_t over = j - size.T, first = over <= 0 ? 0 : (over + stride - 1) / stride * stride;
            double sum = 0;
            run (inf, hidden, logits, ids.data + first, j - first);
            for (int v = 0; v < 257; v++) sum += exp ((double) logits[v]);
            total += (double) logits[ids.data[j]] - log (sum);
            int best = 0;
            for (int v = 1; v < 257; v++) best = logits[v] > logits[best] ? v : best;
            if (confidence) printf ("%.9g %d\n", exp ((double) logits[best]) / sum, best == ids.data[j]);
        }
        if (!confidence) printf ("%.5g\n", total);
    }
    wb_ids_fini (&ids);
    wb_infer_destroy (inf);
    wb_model_destroy (m);
    return WB_OK;
}

/* A small file: one block. */
static wb_status sums (const char *dir, const char *name) {
    char hex[17], *data, *path = wb_format ("%s/%s", dir, name), *list = wb_format ("%s/checksums.json", dir);
    size_t bytes;
    if (path == NULL || list == NULL) return WB_ENOMEM;
    WB_TRY (wb_file_read (&data, &bytes, path));
    snprintf (hex, sizeof hex, "%016" PRIx64, wb_hash64 (data, bytes));
    json_t *root = json_load_file (list, 0, NULL);
    json_t *entry = json_pack ("{s:I, s:[s]}", "bytes", (json_int_t) bytes, "blocks", hex);
    const bool good = json_object_del (root, "list") == 0 && /* as older checkpoints: the list is not hashed itself */
                      json_object_set_new (json_object_get (root, "files"), name, entry) == 0 &&
                      json_dump_file (root, list, JSON_INDENT (1)) == 0;
    json_decref (root);
    wb_free (data);
    wb_free (path);
    wb_free (list);
    return good ? WB_OK : WB_FAIL (WB_EIO, "%s: no checksums", dir);
}

static int test (void) {
    wb_params_t *params;
    wb_model_t *m = NULL;
    wb_size_t read;
    const char *dir = t_tmp ("model");
    T_STATUS (make (dir, false), WB_OK);
    T_STATUS (wb_model_config_read (&read, dir), WB_OK);
    T_OK (read.L == 2 && read.C == 32 && read.H == 2 && read.T == 32 && read.V == 257, "sizes");
    T_STATUS (wb_model_load (&m, dir, NULL), WB_OK);
    T_STATUS (table (&params), WB_OK);
    float *w = wb_calloc ((size_t) params->own, sizeof *w);
    fill (params, w);
    if (T_OK (m != NULL && m->params->own == params->own && m->tokenizer != NULL, "a model")) {
        T_OK (memcmp (m->weights, w, (size_t) params->own * sizeof *w) == 0, "the weights come back");
        T_OK (wb_tokenizer_eot (m->tokenizer) == 256, "the tokenizer comes back");
    }
    wb_free (w);
    wb_params_destroy (params);
    wb_model_destroy (m);

    T_STATUS (make (t_tmp ("bare"), true), WB_OK);
    T_STATUS (wb_model_load (&m, t_tmp ("bare"), NULL), WB_OK);
    T_OK (m != NULL && m->tokenizer == NULL, "no tokenizer");
    wb_model_destroy (m);
    T_STATUS (wb_model_load (&m, t_tmp ("none"), NULL), WB_EIO);

    /* What is not the GPT-2 we compute. */
    static const char *const bad[] = {
        "",
        "[1]",
        "{\"n_layer\": 2}",
        "{\"n_layer\": 0, \"n_embd\": 32, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9}",
        "{\"n_layer\": 1, \"n_embd\": 33, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9}",
        "{\"n_layer\": 1, \"n_embd\": 32, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9, \"n_inner\": 64}",
        "{\"n_layer\": 1, \"n_embd\": 32, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9, "
        "\"activation_function\": \"relu\"}",
        "{\"n_layer\": 1, \"n_embd\": 32, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9, "
        "\"layer_norm_epsilon\": 1e-6}",
        "{\"n_layer\": 1, \"n_embd\": 32, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9, "
        "\"tie_word_embeddings\": false}",
        "{\"n_layer\": 1, \"n_embd\": 32, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9, "
        "\"model_type\": \"gpt_neox\"}",
        "{\"n_layer\": 1, \"n_embd\": 32, \"n_head\": 2, \"n_positions\": 8, \"vocab_size\": 9, "
        "\"scale_attn_by_inverse_layer_idx\": true}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        T_STATUS (wb_file_write (t_tmp ("bare/config.json"), bad[i], strlen (bad[i])), WB_OK);
        T_STATUS (wb_model_config_read (&read, t_tmp ("bare")), WB_EDATA);
    }
    const char *good =
        "{\"n_layer\": 1, \"n_embd\": 32, \"n_head\": 2, \"n_ctx\": 8, \"vocab_size\": 9, \"n_inner\": 128, "
        "\"activation_function\": \"gelu_pytorch_tanh\", \"layer_norm_epsilon\": 0.00001}";
    T_STATUS (wb_file_write (t_tmp ("bare/config.json"), good, strlen (good)), WB_OK);
    T_STATUS (wb_model_config_read (&read, t_tmp ("bare")), WB_OK);
    T_OK (read.T == 8, "n_ctx");
    T_STATUS (wb_model_load (&m, t_tmp ("bare"), NULL), WB_EDATA); /* the tensors have other shapes */
    T_STATUS (wb_model_load (&m, dir, "/dev/null/none"), WB_EIO);
    return T_DONE ();
}

int main (int argc, char **argv) {
    wb_status status = WB_EUSAGE;
    if (argc == 1) return test ();
    if (argc == 2) status = make (argv[1], false);
    if (argc == 3 && strcmp (argv[1], "--bare") == 0) status = make (argv[2], true);
    if (argc == 4 && strcmp (argv[1], "--score") == 0) status = ask (argv[2], argv[3], size.T / 2, false, false);
    if (argc == 5 && strcmp (argv[1], "--score") == 0) status = ask (argv[2], argv[3], atoi (argv[4]), false, false);
    if (argc == 4 && strcmp (argv[1], "--vector") == 0) status = ask (argv[2], argv[3], 0, true, false);
    if (argc == 4 && strcmp (argv[1], "--confidence") == 0) status = ask (argv[2], argv[3], size.T / 2, false, true);
    if (argc == 4 && strcmp (argv[1], "--sums") == 0) status = sums (argv[2], argv[3]);
    if (status != WB_OK) wb_error_print ();
    return (int) status;
}
