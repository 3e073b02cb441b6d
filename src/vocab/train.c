/* Training a vocabulary: the table of kinds, and what is the same for all: sample, train, say what came of it. */
#include "config.h"

#include <string.h>

#include "corpus/made.h"
#include "vocab/vocab_priv.h"
#include "wabun/text.h"

static const wb_vocab_kind_t *const kinds[] = {&wb_vocab_ja_bpe, &wb_vocab_unigram, &wb_vocab_bpe, NULL};

const char *wb_vocab_kind (int i, const char **what) {
    if (kinds[i] != NULL) *what = kinds[i]->what;
    return kinds[i] != NULL ? kinds[i]->name : NULL;
}

int64_t wb_vocab_memory (const wb_vocab_inputs_t *in) { return in->memory > 0 ? in->memory : (int64_t) 2 << 30; }

wb_status wb_vocab_sample (wb_sample_t *s, const wb_vocab_inputs_t *in, int64_t per_byte) {
    const wb_sample_options_t o = {
        in->paths, in->npaths, in->weights, in->nweights, in->seed, wb_vocab_memory (in) / per_byte,
    };
    WB_TRY (wb_sample_read (s, &o));
    char read[32], kept[32];
    for (int g = 0; g < s->genres; g++)
        wb_info ("%-12s %s of text, %s taken%s", s->genre[g], wb_format_bytes (read, (double) s->read[g]),
                 s->read[g] == s->kept[g] ? "all" : wb_format_bytes (kept, (double) s->kept[g]),
                 s->weighted ? ", weighted" : "");
    return WB_OK;
}

static wb_status find_kind (const wb_vocab_kind_t **out, const char *name) {
    const char *names[8];
    int n = 0;
    for (; kinds[n] != NULL; n++) {
        names[n] = kinds[n]->name;
        *out = kinds[n];
        if (strcmp (name, names[n]) == 0) return WB_OK;
    }
    const char *near = wb_nearest (name, names, n);
    return WB_FAIL (WB_EUSAGE, "--kind %s: it is ja-bpe, unigram or bpe%s%s%s", name,
                    near != NULL ? "; did you mean `" : "", near != NULL ? near : "", near != NULL ? "`?" : "");
}

/* ---- what is there already --------------------------------------------------------------------------------------- */

/* What decides the vocabulary, as text. */
static wb_status put_command (wb_buf_t *out, const wb_vocab_training_t *t) {
    char number[32];
    WB_TRY (wb_made_put (out, "wabun vocab train --kind", t->kind));
    snprintf (number, sizeof number, "%lld", (long long) t->size);
    WB_TRY (wb_made_put (out, "--size", number));
    if (t->no_words) WB_TRY (wb_made_put (out, "--no-words", NULL));
    for (int i = 0; i < t->in.nweights; i++) WB_TRY (wb_made_put (out, "--weight", t->in.weights[i]));
    snprintf (number, sizeof number, "%llu", (unsigned long long) t->in.seed);
    WB_TRY (wb_made_put (out, "--seed", number));
    snprintf (number, sizeof number, "%lld", (long long) wb_vocab_memory (&t->in));
    WB_TRY (wb_made_put (out, "--memory", number));
    for (int i = 0; i < t->in.npaths; i++) WB_TRY (wb_made_put (out, "", t->in.paths[i]));
    return wb_made_end (out);
}

static wb_status check_dir (const wb_vocab_training_t *t, const char *record, const char *command) {
    static const char *const files[] = {"ja-bpe.txt", "emoji.json", "ja-swe.txt", "spiece.model",
                                        "wabun-tokenizer.json"};
    wb_status status = WB_OK;
    for (size_t i = 0; i < sizeof files / sizeof *files && status == WB_OK && !t->force; i++) {
        char *path = wb_format ("%s/%s", t->dir, files[i]);
        if (path == NULL)
            status = WB_NOMEM ("%s", t->dir);
        else if (wb_file_exists (path))
            status = wb_made_check (path, record, command);
        wb_free (path);
    }
    return status;
}

static wb_status note (const char *record, const char *command) {
    char *json;
    WB_TRY (wb_made_json (&json, command));
    char *text = json != NULL ? wb_format ("{\"" WB_MADE_KEY "\": %s}\n", json) : wb_strdup ("{}\n");
    wb_status status = text != NULL ? wb_file_write (record, text, strlen (text)) : WB_NOMEM ("%s", record);
    wb_free (json);
    wb_free (text);
    return status;
}

static wb_status train (const wb_vocab_training_t *t, const wb_vocab_kind_t *kind, const char *record,
                        const char *command) {
    wb_sample_t sample = {0};
    WB_TRY (check_dir (t, record, command));
    wb_status status = wb_vocab_sample (&sample, &t->in, kind->per_byte);
    if (status == WB_OK) status = kind->train (t, &sample);
    if (status == WB_OK) status = note (record, command);
    wb_sample_fini (&sample);
    return status;
}

/* ---- training ---------------------------------------------------------------------------------------------------- */

wb_status wb_vocab_train (const wb_vocab_training_t *t) {
    const wb_vocab_kind_t *kind = NULL;
    WB_TRY (find_kind (&kind, t->kind));
    if (t->size < kind->min || t->size > kind->max)
        return WB_FAIL (WB_EUSAGE, "--size %lld: a vocabulary of %s has from %lld to %lld ids", (long long) t->size,
                        kind->name, (long long) kind->min, (long long) kind->max);
    const double start = wb_now ();
    wb_buf_t command = {0};
    char *record = wb_format ("%s/wabun-vocab.json", t->dir);
    wb_status status = record != NULL ? put_command (&command, t) : WB_NOMEM ("%s", t->dir);
    if (status == WB_OK) status = train (t, kind, record, command.data);
    wb_buf_fini (&command);
    wb_free (record);
    wb_tokenizer_t *made;
    WB_TRY (status);
    WB_TRY (wb_tokenizer_new (&made, t->dir)); /* it must open */
    char seconds[32], peak[32], count[32];
    wb_info ("%s: %s, %s ids, in %s, peak memory %s", t->dir, wb_tokenizer_kind (made),
             wb_format_count (count, wb_tokenizer_size (made)), wb_format_seconds (seconds, wb_now () - start),
             wb_format_bytes (peak, (double) wb_mem_rss_peak ()));
    wb_tokenizer_destroy (made);
    return WB_OK;
}
