/* What the two kinds of files of llm.c share.  Not installed. */
#ifndef WABUN_CONVERT_LLMC_H
#define WABUN_CONVERT_LLMC_H

#define WB_LLMC_HEADER ((int64_t) 1024) /* bytes: 256 words */

#endif
