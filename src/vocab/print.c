/* A comparison as a table, and as an object of JSON. */
#include "config.h"

#include <jansson.h>
#include <string.h>

#include "vocab/compare.h"

static double ratio (double a, double b) { return b > 0 ? a / b : 0; }

static double chars (const wb_measured_t *t, const wb_measures_t *m) {
    (void) t;
    return ratio ((double) m->chars, (double) m->tokens);
}
static double bytes (const wb_measured_t *t, const wb_measures_t *m) {
    (void) t;
    return ratio ((double) m->bytes, (double) m->tokens);
}
static double unused (const wb_measured_t *t, const wb_measures_t *m) {
    return 100 * (1 - ratio ((double) m->used, (double) t->size));
}
static double fallback (const wb_measured_t *t, const wb_measures_t *m) {
    (void) t;
    return 100 * ratio ((double) m->byte_tokens, (double) m->tokens);
}
static double whole (const wb_measured_t *t, const wb_measures_t *m) {
    (void) t;
    return 100 * ratio ((double) m->whole, (double) m->words);
}
static double speed (const wb_measured_t *t, const wb_measures_t *m) {
    (void) t;
    return ratio ((double) m->bytes / 1e6, m->seconds);
}

const wb_column_t wb_vocab_columns[] = {
    {"chars_per_token", "chars/token", "characters a token", "%.3f", chars},
    {"bytes_per_token", "bytes/token", "bytes a token", "%.3f", bytes},
    {"unused_percent", "unused %", "ids of the vocabulary that never occur, %", "%.1f", unused},
    {"byte_tokens_percent", "bytes %", "tokens that are single bytes, %", "%.2f", fallback},
    {"whole_words_percent", "whole %", "words that are one token, %", "%.1f", whole},
    {"mb_per_s", "MB/s", "encoded, MB/s, one thread", "%.1f", speed},
    {NULL, NULL, NULL, NULL, NULL},
};

static const char *genre_name (const wb_comparison_t *c, int g) { return g < 0 ? "all" : c->sample->genre[g]; }
static const wb_measures_t *of_genre (const wb_measured_t *t, int g) { return g < 0 ? &t->all : &t->genre[g]; }

void wb_comparison_print (const wb_comparison_t *c) {
    int width = 9;
    for (int i = 0; i < c->ntokenizers; i++)
        if ((int) strlen (c->tokenizers[i].spec) > width) width = (int) strlen (c->tokenizers[i].spec);
    printf ("%-12s  %-*s  %-13s %8s", "genre", width, "tokenizer", "kind", "ids");
    for (const wb_column_t *k = wb_vocab_columns; k->name != NULL; k++) printf (" %11s", k->title);
    printf ("\n");
    for (int g = c->sample->genres > 1 ? -1 : 0; g < c->sample->genres; g++)
        for (int i = 0; i < c->ntokenizers; i++) {
            const wb_measured_t *t = &c->tokenizers[i];
            printf ("%-12s  %-*s  %-13s %8d", genre_name (c, g), width, t->spec, t->kind, (int) t->size);
            for (const wb_column_t *k = wb_vocab_columns; k->name != NULL; k++) {
                char number[32];
                snprintf (number, sizeof number, k->format, k->value (t, of_genre (t, g)));
                printf (" %11s", number);
            }
            printf ("\n");
        }
}

static json_t *object_of (const wb_measured_t *t, const wb_measures_t *m) {
    json_t *o = json_pack ("{s:I, s:I, s:I, s:I, s:I, s:I}", "bytes", (json_int_t) m->bytes, "chars",
                           (json_int_t) m->chars, "tokens", (json_int_t) m->tokens, "ids_used", (json_int_t) m->used,
                           "words", (json_int_t) m->words, "words_whole", (json_int_t) m->whole);
    for (const wb_column_t *k = wb_vocab_columns; k->name != NULL && o != NULL; k++)
        if (json_object_set_new (o, k->name, json_real (k->value (t, m))) != 0) {
            json_decref (o);
            return NULL;
        }
    return o;
}

static json_t *object_of_all (const wb_comparison_t *c) {
    json_t *list = json_array ();
    for (int i = 0; i < c->ntokenizers && list != NULL; i++) {
        const wb_measured_t *t = &c->tokenizers[i];
        json_t *genres = json_object ();
        for (int g = -1; g < c->sample->genres; g++)
            (void) json_object_set_new (genres, genre_name (c, g), object_of (t, of_genre (t, g)));
        json_t *o = json_pack ("{s:s, s:s, s:i, s:o}", "tokenizer", t->spec, "kind", t->kind, "size", (int) t->size,
                               "genres", genres);
        if (o == NULL || json_array_append_new (list, o) != 0) {
            json_decref (list);
            return NULL;
        }
    }
    return json_pack ("{s:o}", "tokenizers", list);
}

wb_status wb_comparison_json (const wb_comparison_t *c) {
    json_t *o = object_of_all (c);
    char *text = o != NULL ? json_dumps (o, JSON_INDENT (2) | JSON_REAL_PRECISION (6)) : NULL;
    json_decref (o);
    if (text == NULL) return WB_NOMEM ("the comparison as JSON, or a name that is not UTF-8");
    printf ("%s\n", text);
    wb_free_foreign (text);
    return WB_OK;
}
