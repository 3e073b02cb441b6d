/* Brackets that do not match: what libconfig calls a syntax error, often far below its cause.
 *
 * Not done here: any other error of syntax. */
#include "config.h"

#include <string.h>

#include "config/source.h"

#define DEPTH 64

typedef struct walk {
    const char *at;
    unsigned line;
} walk_t;

/* Past a string, a comment or one character. */
static void step (walk_t *w) {
    const char *end = NULL;
    if (*w->at == '"') {
        for (end = w->at + 1; *end != 0 && *end != '"'; end++)
            if (*end == '\\' && end[1] != 0) end++;
        if (*end != 0) end++;
    } else if (*w->at == '#' || strncmp (w->at, "//", 2) == 0) {
        end = w->at + strcspn (w->at, "\n");
    } else if (strncmp (w->at, "/*", 2) == 0) {
        end = strstr (w->at + 2, "*/");
        end = end != NULL ? end + 2 : w->at + strlen (w->at);
    } else {
        end = w->at + 1;
    }
    for (; w->at < end; w->at++) w->line += *w->at == '\n';
}

static char closes (char open) { return open == '{' ? '}' : open == '(' ? ')' : ']'; }

/* "line 5", of another file "FILE:5". */
static const char *place (char buf[WB_SOURCE_WHERE], const wb_source_t *s, unsigned line) {
    if (s->nfiles > 1) return wb_source_where (buf, s, line);
    snprintf (buf, WB_SOURCE_WHERE, "line %u", line);
    return buf;
}

bool wb_source_bracket (char *what, size_t bytes, const wb_source_t *s) {
    struct {
        char open;
        unsigned line;
    } stack[DEPTH];
    char where[WB_SOURCE_WHERE];
    int depth = 0;
    for (walk_t w = {s->text.data, 1}; *w.at != 0; step (&w)) {
        const char c = *w.at;
        if (strchr ("{([", c) != NULL && depth == DEPTH) return false;
        if (strchr ("{([", c) != NULL) stack[depth].open = c, stack[depth++].line = w.line;
        if (strchr ("})]", c) == NULL) continue;
        if (depth > 0 && closes (stack[depth - 1].open) == c) {
            depth--;
            continue;
        }
        if (depth == 0)
            snprintf (what, bytes, "`%c` closes nothing", c);
        else
            snprintf (what, bytes, "`%c` comes before the `%c` of %s is closed", c, stack[depth - 1].open,
                      place (where, s, stack[depth - 1].line));
        return true;
    }
    if (depth == 0) return false;
    snprintf (what, bytes, "the `%c` of %s is not closed", stack[depth - 1].open,
              place (where, s, stack[depth - 1].line));
    return true;
}
