/* Which program this process runs: version and, where the linker wrote one, build number.
 *
 * Ranks of different builds may speak different protocols and do not compute the same bits.
 *
 * Not done here: libraries that differ (MPI, BLAS). */
#include "config.h"

#include <string.h>

#if defined(__linux__) && defined(HAVE_DL_ITERATE_PHDR)
#include <link.h>
#endif

#include "comm/comm_priv.h"

#if defined(__linux__) && defined(HAVE_DL_ITERATE_PHDR)
/* Notes of one program header: the build number is the one of type 3 and name "GNU". */
static bool find_build (char buf[17], const char *at, size_t bytes) {
    for (const char *end = at + bytes; at + sizeof (ElfW (Nhdr)) <= end;) {
        ElfW (Nhdr) note;
        memcpy (&note, at, sizeof note);
        const char *name = at + sizeof note, *data = name + (note.n_namesz + 3) / 4 * 4;
        if (data + note.n_descsz > end) return false;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp (name, "GNU", 4) == 0) {
            for (size_t i = 0; i < 8 && i < note.n_descsz; i++)
                snprintf (buf + 2 * i, 3, "%02x", (unsigned) (unsigned char) data[i]);
            return true;
        }
        at = data + (note.n_descsz + 3) / 4 * 4;
    }
    return false;
}

/* The first object is the program itself. */
static int look_at_program (struct dl_phdr_info *info, size_t size, void *buf) {
    (void) size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_NOTE &&
            find_build (buf, (const char *) (uintptr_t) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr),
                        info->dlpi_phdr[i].p_memsz))
            break;
    return 1;
}

static void build_number (char buf[17]) {
    buf[0] = 0;
    (void) dl_iterate_phdr (look_at_program, buf);
}
#else
static void build_number (char buf[17]) { buf[0] = 0; }
#endif

wb_status wb_program_check (wb_comm_t *world) {
    char build[17], mine[96] = "", first[96];
    build_number (build);
    snprintf (mine, sizeof mine, build[0] != 0 ? "%s, build %s" : "%s", PACKAGE_VERSION, build);
    memcpy (first, mine, sizeof first);
    wb_comm_bcast (world, first, sizeof first, 0);
    wb_status status = WB_OK;
    if (strcmp (first, mine) != 0)
        status = WB_FAIL (
            WB_EUSAGE,
            "another program runs on %s (wabun %s) than on rank 0 (wabun %s): install the same build on all nodes",
            wb_comm_host (), mine, first);
    return wb_agree (world, status);
}
