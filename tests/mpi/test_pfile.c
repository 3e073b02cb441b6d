/* ranks: 1 2 3 5 */
/* Disjoint writes, common reads, and what goes wrong with files: one agreed status and text. */
#include "config.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tmpi.h"

static wb_comm_t *world;
static int P, rank;

static unsigned char byte_at (int64_t i) { return (unsigned char) (i * 7 + i / 251); }

static bool same_text (void) {
    const wb_error_t *e = wb_error_get ();
    wb_error_t first = *e;
    wb_comm_bcast (world, &first, sizeof first, 0);
    return memcmp (&first, e, sizeof first) == 0;
}

/* All ranks failed with this status and the same text, which names the path. */
static bool refused (wb_status got, wb_status want, const char *path) {
    bool ok = T_OK (got == want && strstr (wb_error_get ()->text, path) != NULL, "%s: status %d: %s", path, (int) got,
                    wb_error_get ()->text);
    ok = T_OK (same_text (), "%s: the message is the same on all ranks", path) && ok;
    wb_error_clear ();
    return ok;
}

static void write_and_read (int64_t bytes, bool longer_first) {
    const char *path = t_tmp ("data");
    wb_pfile_t *f;
    if (longer_first) {
        T_STATUS (wb_pfile_create (&f, world, path, bytes + 5000), WB_OK);
        T_STATUS (wb_pfile_close (f), WB_OK);
    }
    if (!T_STATUS (wb_pfile_create (&f, world, path, bytes), WB_OK)) return;
    int64_t first = wb_split_first (bytes, P, rank), n = wb_split_count (bytes, P, rank);
    unsigned char *x = wb_malloc ((size_t) bytes + 1);
    for (int64_t i = 0; i < n; i++) x[i] = byte_at (first + i);
    /* In two goes, the second half first. */
    wb_status st = wb_pfile_write (f, x + n / 2, (size_t) (n - n / 2), first + n / 2);
    if (st == WB_OK) st = wb_pfile_write (f, x, (size_t) (n / 2), first);
    T_STATUS (st, WB_OK);
    T_OK (wb_pfile_size (f) == bytes, "size of what is written");
    T_STATUS (wb_pfile_close (f), WB_OK);

    if (!T_STATUS (wb_pfile_open (&f, world, path), WB_OK)) return;
    T_OK (wb_pfile_size (f) == bytes, "size is %lld", (long long) wb_pfile_size (f));
    memset (x, 0, (size_t) bytes);
    T_STATUS (wb_pfile_read (f, x, (size_t) bytes, 0), WB_OK);
    bool ok = true;
    for (int64_t i = 0; i < bytes; i++) ok = ok && x[i] == byte_at (i);
    T_OK (ok, "%lld bytes come back", (long long) bytes);
    T_STATUS (wb_pfile_close (f), WB_OK);

    /* One rank reads too far: its status now, everyone's at the end. */
    if (!T_STATUS (wb_pfile_open (&f, world, path), WB_OK)) return;
    st = rank == P - 1 ? wb_pfile_read (f, x, 2, bytes - 1) : WB_OK;
    T_OK (st == (rank == P - 1 ? WB_EDATA : WB_OK), "reading behind the end");
    wb_error_clear ();
    refused (wb_pfile_close (f), WB_EDATA, path);
    wb_free (x);
}

static void refusals (void) {
    wb_pfile_t *f;
    refused (wb_pfile_open (&f, world, t_tmp ("missing")), WB_EIO, t_tmp ("missing"));
    T_OK (f == NULL, "no file");
    refused (wb_pfile_create (&f, world, t_tmp ("no/such/directory"), 10), WB_EIO, t_tmp ("no/such/directory"));
    refused (wb_pfile_open (&f, world, t_tmp ("")), WB_EIO, t_tmp (""));
    refused (wb_pfile_create (&f, world, t_tmp (""), 10), WB_EIO, t_tmp (""));
    refused (wb_pfile_create (&f, world, "/dev/full", 10), WB_EIO, "/dev/full");

    /* More than any disk has: noticed before anything is written, and nothing is left. */
    wb_status st = wb_pfile_create (&f, world, t_tmp ("huge"), (int64_t) 1 << 52);
    refused (st, WB_EIO, t_tmp ("huge"));
    wb_comm_barrier (world);
    T_OK (!wb_file_exists (t_tmp ("huge")), "nothing is left of it");

    /* One rank sees another file than the others (as if the directory were not shared). */
    if (P > 1) {
        char name[32];
        snprintf (name, sizeof name, "own%d", rank);
        T_OK (wb_file_write (t_tmp (name), "abc", rank == P - 1 ? 2 : 3) == WB_OK, "a file of one's own");
        st = wb_pfile_open (&f, world, t_tmp (name));
        T_OK (st == WB_EUSAGE && same_text (), "other sizes: %d %s", (int) st, wb_error_get ()->text);
        wb_error_clear ();
    }
}

/* Writes of the last rank fail; the others learn of it when they close. */
static void failing_write (void) {
    wb_pfile_t *f;
    if (!T_STATUS (wb_pfile_create (&f, world, t_tmp ("limited"), 100000), WB_OK)) return;
    struct rlimit before, low;
    getrlimit (RLIMIT_FSIZE, &before);
    low = before;
    low.rlim_cur = 50000;
    signal (SIGXFSZ, SIG_IGN);
    if (rank == P - 1) setrlimit (RLIMIT_FSIZE, &low);
    char *x = wb_calloc (1, 1000);
    wb_status st = wb_pfile_write (f, x, 1000, rank == P - 1 ? 99000 : 1000 * (int64_t) rank);
    setrlimit (RLIMIT_FSIZE, &before);
    T_OK (st == (rank == P - 1 ? WB_EIO : WB_OK), "the write of rank %d gives %d", rank, (int) st);
    wb_free (x);
    refused (wb_pfile_close (f), WB_EIO, t_tmp ("limited"));
}

int main (void) {
    world = T_BEGIN ();
    P = wb_comm_size (world);
    rank = wb_comm_rank (world);
    write_and_read (1, false);
    write_and_read (P + 1, false);
    write_and_read (1234567, true);
    wb_pfile_t *f;
    T_STATUS (wb_pfile_create (&f, world, t_tmp ("empty"), 0), WB_OK);
    T_STATUS (wb_pfile_close (f), WB_OK);
    T_STATUS (wb_pfile_open (&f, world, t_tmp ("empty")), WB_OK);
    T_STATUS (wb_pfile_close (f), WB_OK);
    refusals ();
    failing_write ();
    return T_END ();
}
