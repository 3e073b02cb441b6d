/* What the files of wabun-faults share: the kinds of calls that fail (faults.c), and whose turn it is. */
#ifndef WABUN_FAULTS_H
#define WABUN_FAULTS_H

#include <stdbool.h>

typedef enum kind { ALLOC, OPEN, READ, WRITE, SYNC, NAME, THREAD, AGREE, MPI, KINDS } kind_t;

/* Is it this call's turn?  Then errno is set. */
bool fails (int kind, const char *call);

#endif
