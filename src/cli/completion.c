/* Prints a completion for a shell: subcommands, the options of each, what an option takes, keys of the configuration.
 *
 * All of it is read from the texts of `wabun help`, so that a new option is completed as soon as it has its row there:
 * two blanks, the option, a word in capitals for its value.  The values of keys and numbers are not completed.
 * What differs between shells is in shells.c. */
#include "config.h"

#include <string.h>

#include "cli/cli.h"
#include "wabun/config.h"

enum { MAX_WORDS = 64, HELP_BYTES = 1 << 17 };

typedef struct words {
    const char *s[MAX_WORDS];
    int length[MAX_WORDS], n;
} words_t;

static void add (words_t *w, const char *s, int n) {
    for (int i = 0; i < w->n; i++)
        if (w->length[i] == n && memcmp (w->s[i], s, (size_t) n) == 0) return;
    if (w->n < MAX_WORDS) w->s[w->n] = s, w->length[w->n++] = n;
}
static void put (FILE *to, const char *name, const words_t *w) {
    fprintf (to, "      %s=\"", name);
    for (int i = 0; i < w->n; i++) fprintf (to, "%s%.*s", i > 0 ? " " : "", w->length[i], w->s[i]);
    fprintf (to, "\"\n");
}

/* The length of the option at s; 0: there is none. */
static int option (const char *s) {
    if (s[0] != '-') return 0;
    const int dashes = s[1] == '-' ? 2 : 1;
    const int n = dashes + (int) strspn (s + dashes, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return n == dashes || (dashes == 1 && n != 2) ? 0 : n;
}

typedef struct options {
    words_t all, dirs, others; /* all; those that take a directory; those that take what is not a file either */
} options_t;

/* An option that stands at the start of a row: what does it take? */
static void value (options_t *o, const char *s, int n) {
    const char *v = s + n + 1;
    const int length = s[n] == ' ' ? (int) strspn (v, "ABCDEFGHIJKLMNOPQRSTUVWXYZ=") : 0;
    static const char *const files[] = {"F", "FILE", "T", "PREFIX", "WHAT", NULL};
    for (int i = 0; files[i] != NULL; i++)
        if (length == (int) strlen (files[i]) && memcmp (v, files[i], (size_t) length) == 0) return;
    if (length > 0) add (memcmp (v, "DIR", 3) == 0 ? &o->dirs : &o->others, s, n);
}

/* Options in a text; rows: only in indented lines, and those of one dash only in front. */
static void find (options_t *o, const char *text, bool rows) {
    for (const char *line = text; *line != 0;) {
        const char *end = line + strcspn (line, "\n");
        const bool row = !rows || strncmp (line, "  ", 2) == 0;
        for (const char *s = line; row && s < end; s++) {
            const int n = s == line || strchr (" (['`", s[-1]) != NULL ? option (s) : 0;
            const bool first = s == line + 2;
            if (n == 0 || (rows && !first && s[1] != '-')) continue;
            add (&o->all, s, n);
            if (first) value (o, s, n);
            s += n - 1;
        }
        line = *end != 0 ? end + 1 : end;
    }
}

/* The first word of each line. */
static void names (FILE *to, const char *s, size_t n) {
    for (const char *end = s + n; s < end;) {
        const char *newline = memchr (s, '\n', (size_t) (end - s));
        if (end - s > 2 && s[0] == ' ' && s[1] == ' ' && s[2] != ' ')
            fprintf (to, "%.*s ", (int) strcspn (s + 2, " \n"), s + 2);
        s = newline != NULL ? newline + 1 : end;
    }
}

static wb_status keys (FILE *to) {
    char *text = wb_malloc (HELP_BYTES);
    FILE *f = text != NULL ? fmemopen (text, HELP_BYTES, "w") : NULL;
    if (f != NULL) {
        wb_config_help (f, false);
        fputc (0, f);
        fclose (f);
        names (to, text, strlen (text));
    }
    wb_free (text);
    return f != NULL ? WB_OK : WB_FAIL (WB_ENOMEM, "out of memory: the keys of the configuration");
}

static void command (FILE *to, const wb_cmd_t *c) {
    options_t o = {0};
    find (&o, c->usage, false);
    find (&o, c->text, true);
    add (&o.all, "--help", 6);
    fprintf (to, "    %s)\n", c->name);
    put (to, "options", &o.all);
    put (to, "dirs", &o.dirs);
    put (to, "others", &o.others);
    if (c->list != NULL) {
        fprintf (to, "      names=\"");
        c->list (to, names);
        fprintf (to, "\"\n");
    }
    fprintf (to, "      ;;\n");
}

wb_status wb_help_completion (FILE *to, const char *shell) {
    const wb_shell_t *sh = wb_shells;
    while (sh->name != NULL && strcmp (sh->name, shell) != 0) sh++;
    if (sh->name == NULL) return WB_FAIL (WB_EUSAGE, "there is no completion for `%s`: bash, zsh", shell);
    fprintf (to, "%s  local commands=\"", sh->start);
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++)
        fprintf (to, "%s%s", c == wb_commands ? "" : " ", (*c)->name);
    fprintf (to, "\"\n  local keys=\"");
    WB_TRY (keys (to));
    fprintf (to, "\"\n%s  case $cmd in\n", sh->walk);
    for (const wb_cmd_t *const *c = wb_commands; *c != NULL; c++) command (to, *c);
    fputs (sh->end, to);
    return WB_OK;
}
