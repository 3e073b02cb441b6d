/* The rank of this process, for what acts in one rank before MPI has started. */
#ifndef WABUN_OWN_RANK_H
#define WABUN_OWN_RANK_H

#include <stddef.h>
#include <stdlib.h>

/* 0 where there is no launcher. */
static inline int own_rank (void) {
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        const char *rank = getenv (variables[i]);
        if (rank != NULL) return atoi (rank);
    }
    return 0;
}

#endif
