/* What the harnesses of the corpus's readers share. */
#ifndef WABUN_FUZZ_DOCUMENTS_H
#define WABUN_FUZZ_DOCUMENTS_H

#include "wabun/corpus.h"

/* The document of a record, and what must be true of any. */
void fuzz_document (wb_extractor_t *x, wb_document_t *d, const wb_record_t *r);
/* Files of each kind of container, made by the libraries that read them. */
void fuzz_record_seeds (void);

#endif
