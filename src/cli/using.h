/* cli, inside: what generate, score and transform share.  Not installed. */
#ifndef WABUN_CLI_USING_H
#define WABUN_CLI_USING_H

#include <wabun/run.h>

#include "cli/cli.h"

/* ---- options that all of them take ----------------------------------------------------------------------------- */

typedef struct wb_using {
    const char *model, *tokenizer;
    int64_t threads; /* 0: OMP_NUM_THREADS, or the cores */
} wb_using_t;
/* Is the argument --model, --tokenizer or --threads?  *taken says so; errors as wb_opts_*. */
wb_status wb_using_option (wb_using_t *u, wb_opts_t *o, bool *taken) WB_NODISCARD;
/* Set threads, load the model with a tokenizer.  Errors: WB_EUSAGE when no model is named, WB_EDATA when there is no
 * tokenizer, and those of wb_model_load(). */
wb_status wb_using_open (wb_model_t **out, const wb_using_t *u, const char *command) WB_NODISCARD;

/* ---- lines ----------------------------------------------------------------------------------------------------- */

/* Lines of a file or of the standard input ("-"), as they come: LF or CRLF ends a line, the last may lack it. */
typedef struct wb_lines {
    const char *name;
    int fd;
    wb_buf_t buf;
    size_t at;
    bool end;
    bool told;      /* that it is not UTF-8 */
    int64_t number; /* of the line given last, from 1 */
} wb_lines_t;
wb_status wb_lines_open (wb_lines_t *l, const char *path) WB_NODISCARD;
void wb_lines_close (wb_lines_t *l);
/* The next line into *text [*n], valid until the next call; NULL: none.  wait: for input, or the end; else none also
 * means that there is none yet. */
wb_status wb_lines_next (wb_lines_t *l, const char **text, size_t *n, bool wait) WB_NODISCARD;

/* A warning when text is in another encoding; *told (which may be NULL): once. */
void wb_using_utf8 (const char *name, const char *text, size_t n, bool *told);

/* stdout could be written to, so far. */
wb_status wb_written (FILE *f, const char *name) WB_NODISCARD;

#endif
