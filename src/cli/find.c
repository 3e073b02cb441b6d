/* wabun help -k WORD...: the rows of all help in which every word is, whatever its case.
 *
 * A row is an option, a key, or a line of notes, with the lines below it that are further in. */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/config.h"

enum { HELP_BYTES = 1 << 17 };

static bool has_all (const char *row, const char *const *words, int n) {
    for (int i = 0; i < n; i++)
        if (strcasestr (row, words[i]) == NULL) return false;
    return true;
}

/* Print the rows of a text that have the words, after `where`; returns how many. */
static int find_rows (char *text, const char *where, const char *const *words, int n) {
    int found = 0;
    for (char *row = text, *end; *row != 0; row = end) {
        end = row;
        do {
            end += strcspn (end, "\n");
            end += *end != 0;
        } while (strncmp (end, "   ", 3) == 0); /* a line that goes on */
        const char first = *end;
        *end = 0;
        if (row[0] != '\n' && has_all (row, words, n)) {
            if (found++ == 0) printf ("%s\n", where);
            printf ("%s%s", row[0] == ' ' ? "" : "  ", row);
        }
        *end = first;
    }
    return found;
}

typedef void print_fn (FILE *to, const void *what);
static void plain (FILE *to, const char *s, size_t n) { fwrite (s, 1, n, to); }
static void print_command (FILE *to, const void *what) {
    const wb_cmd_t *c = what;
    fprintf (to, "%s\n", c->line);
    if (c->list != NULL) c->list (to, plain);
    fputs (c->text, to);
}
static void print_keys (FILE *to, const void *corpus) {
    (corpus != NULL ? wb_corpus_config_help : wb_config_help) (to, false);
}

static wb_status find (int *found, print_fn *print, const void *what, const char *where, const char *const *words,
                       int n) {
    char *text = wb_calloc (1, HELP_BYTES);
    FILE *f = text != NULL ? fmemopen (text, HELP_BYTES - 1, "w") : NULL;
    if (f != NULL) {
        print (f, what);
        fclose (f);
        *found += find_rows (text, where, words, n);
    }
    wb_free (text);
    return f != NULL ? WB_OK : WB_NOMEM ("the help");
}

wb_status wb_help_find (const char *const *words, int n) {
    char where[64];
    int found = 0;
    if (n == 0) return WB_FAIL (WB_EUSAGE, "which word? wabun help -k checkpoint");
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++) {
        snprintf (where, sizeof where, "wabun %s", (*c)->name);
        WB_TRY (find (&found, print_command, *c, where, words, n));
    }
    WB_TRY (find (&found, print_keys, NULL, "Keys of the configuration of a run", words, n));
    WB_TRY (find (&found, print_keys, words, "Keys of the configuration of a corpus", words, n));
    return found > 0 ? WB_OK
                     : WB_FAIL (WB_EUSAGE, "there is no `%s`%s in the help", words[0], n > 1 ? " with the others" : "");
}
