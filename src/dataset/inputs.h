/* The inputs of an encoding: files found, in order, the same list on all ranks. */
#ifndef WABUN_DATASET_INPUTS_H
#define WABUN_DATASET_INPUTS_H

#include "wabun/comm.h"

/* A stream has no size: the standard input, a pipe. */
typedef enum { WB_INPUT_TEXT, WB_INPUT_LINES, WB_INPUT_STREAM } wb_input_kind;

typedef struct wb_input {
    char *path;
    wb_input_kind kind;
    int64_t bytes, start; /* of the file, and of all inputs before it */
} wb_input_t;

/* Zero-initialised is empty. */
typedef struct wb_inputs {
    wb_input_t *data;
    int64_t len, cap;
    int64_t bytes;  /* of all */
    int64_t others; /* files in directories that were left out */
} wb_inputs_t;

/* Rank 0's view of the file system on all ranks: "-", files, and directories, walked in the order of names (.txt and
 * .jsonl files in them; links to directories are not followed, they may lead in a circle).  A .jsonl file holds one
 * document a line, any other is one document.  Collective over world.  Errors, agreed: WB_EIO what cannot be opened;
 * WB_EDATA no text at all; WB_EUSAGE a packed file, a pipe that several ranks would have to share. */
wb_status wb_inputs_find (wb_inputs_t *out, wb_comm_t *world, char *const *paths, int n) WB_NODISCARD;
void wb_inputs_fini (wb_inputs_t *l);

#endif
