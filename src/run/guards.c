/* What would make a run fail later, found when it starts: ranks that are given different things, too little disk, a
 * time limit before the next checkpoint.
 *
 * Not done here: other programs on some ranks (comm/program.c), another run in the same directory (lock.c, owner.c),
 * memory (the trainer). */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "run/run_priv.h"

/* ---- the same on every rank -------------------------------------------------------------------------------------- */

/* Rank 0 reads the configuration for all (config/share.c), so only the command lines could differ. */
wb_status wb_run_check_arguments (wb_run_t *r, const wb_run_args_t *a) {
    wb_buf_t all = {0};
    wb_status status = wb_buf_put (&all, a->resume, strlen (a->resume) + 1);
    for (int i = 0; i < a->nsets && status == WB_OK; i++)
        status = wb_buf_put (&all, a->sets[i], strlen (a->sets[i]) + 1);
    status = wb_agree (r->world, status);
    if (status == WB_OK) status = wb_same (r->world, all.data, all.len, "the command line (--set, --resume)");
    wb_buf_fini (&all);
    return status;
}

/* Is token file `i` (nfiles: that of validation) the one of rank 0?  first: its bytes and hash there. */
static wb_status compare (const wb_run_t *r, int i, const int64_t first[2]) {
    const wb_run_data_t *d = &r->data;
    const wb_tokens_t *f = i < d->nfiles ? d->files[i] : d->valid_file;
    int64_t bytes;
    uint64_t hash;
    WB_TRY (wb_tokens_identity (f, &bytes, &hash));
    if (bytes == first[0] && hash == (uint64_t) first[1]) return WB_OK;
    return WB_FAIL (
        WB_EUSAGE,
        "%s on %s is another file than on the node of rank 0 (%lld and %lld bytes of ids; XXH64 %016llx and "
        "%016llx): give all nodes the same, for instance on a shared file system",
        wb_tokens_path (f), wb_comm_host (), (long long) bytes, (long long) first[0], (unsigned long long) hash,
        (unsigned long long) first[1]);
}

/* One rank of each node looks. */
wb_status wb_run_check_tokens (wb_run_t *r) {
    const wb_run_data_t *d = &r->data;
    const int rank = wb_comm_rank (r->world);
    wb_status status = WB_OK;
    if (r->topo->nodes == 1) return WB_OK;
    for (int i = 0; i < d->nfiles + (d->valid_file != NULL) && status == WB_OK; i++) {
        int64_t first[2] = {0, 0};
        uint64_t hash = 0;
        if (rank == 0 && i < d->nfiles) first[0] = d->bytes[i], first[1] = (int64_t) d->hashes[i];
        if (rank == 0 && i == d->nfiles) {
            status = wb_tokens_identity (d->valid_file, &first[0], &hash);
            first[1] = (int64_t) hash;
        }
        WB_TRY (wb_agree (r->world, status));
        wb_comm_bcast (r->world, first, sizeof first, 0);
        status = wb_agree (r->world, rank != 0 && wb_comm_rank (r->topo->node) == 0 ? compare (r, i, first) : WB_OK);
    }
    return status;
}

void wb_run_check_tasks (const wb_run_t *r) {
    const int64_t tasks = wb_env_number ("SLURM_NTASKS");
    const int ranks = wb_comm_size (r->world);
    if (tasks > ranks)
        wb_warn (
            "Slurm granted %lld tasks, this run has %d rank%s: start it by srun --mpi=pmix or mpirun without -n to "
            "use them all",
            (long long) tasks, ranks, wb_plural (ranks));
}

/* ---- disk -------------------------------------------------------------------------------------------------------- */

/* Bytes of the tensors of a checkpoint. */
static double checkpoint_bytes (const wb_trainer_t *t) {
    int nslots;
    const wb_optim_slot_t *slots = wb_optim_slots (t->o.optim.kind, &nslots);
    double floats = (double) (t->o.tuning.rank > 0 ? t->params->learn : t->params->total);
    for (int s = 0; s < nslots; s++)
        for (int i = 0; i < t->params->n; i++) {
            const wb_param_t *p = &t->params->list[i];
            if (wb_optim_has_state (t->o.optim.kind, slots[s].state, p) &&
                (slots[s].classes == 0 || (slots[s].classes >> p->cls & 1) != 0))
                floats += (double) p->rows * (double) p->cols;
        }
    return 4 * floats;
}

/* Checkpoints that will be there at a time beside those there are: one is written before an old one goes. */
static int64_t checkpoints_to_come (const wb_run_t *r, int existing) {
    const wb_run_options_t *o = &r->config->run;
    const int64_t steps = r->config->step.optim.steps, left = steps - r->trainer->step;
    int64_t n = left > 0 ? 1 : 0;
    if (o->checkpoint_every > 0 && left > 0)
        n = (steps - 1) / o->checkpoint_every - r->trainer->step / o->checkpoint_every + 1;
    const int64_t places =
        o->checkpoint_keep > 0 ? o->checkpoint_keep + 1 + o->checkpoint_best - (int64_t) existing : n;
    return n > places ? (places > 1 ? places : 1) : n;
}

static wb_status check_disk (const wb_run_t *r) {
    const char *run = r->config->run.dir;
    enum { MANY = 4096 };
    struct statvfs fs;
    int existing = 0;
    char a[32], b[32];
    int64_t *steps = wb_malloc (MANY * sizeof *steps);
    wb_status status = steps != NULL ? wb_ckpt_list (steps, &existing, run, MANY) : WB_NOMEM ("%s", run);
    wb_free (steps);
    WB_TRY (status);
    const int64_t n = checkpoints_to_come (r, existing);
    if (n == 0 || statvfs (run, &fs) != 0) return WB_OK;
    const double one = checkpoint_bytes (r->trainer), free = (double) fs.f_bavail * (double) fs.f_frsize;
    wb_format_bytes (a, one);
    wb_format_bytes (b, free);
    if (free < one)
        return WB_FAIL (
            WB_EIO,
            "%s: No space left for a checkpoint: it takes %s, the file system has %s free: free some, or set "
            "another `run`",
            run, a, b);
    if (free < one * (double) n)
        wb_warn (
            "%s: the file system has room for %.0f of the %lld checkpoints that are to come at a time (%s each, %s "
            "free): free some, or set checkpoint.keep or checkpoint.every",
            run, free / one - 0.5, (long long) n, a, b);
    return WB_OK;
}

wb_status wb_run_check_disk (wb_run_t *r) {
    return wb_agree (r->world, wb_comm_rank (r->world) == 0 ? check_disk (r) : WB_OK);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */

#define TIMED 3 /* steps, after the first, which is slow */

void wb_run_check_time (wb_run_t *r) {
    const int64_t done = r->trainer->step - r->first, steps = r->config->step.optim.steps,
                  every = r->config->run.checkpoint_every;
    if (done == 1) r->timed = wb_now ();
    const int64_t end = done == 1 + TIMED ? wb_launcher_end () : -1;
    if (end <= 0) return;
    const double step = (wb_now () - r->timed) / TIMED, left = (double) end - (double) time (NULL);
    int64_t next = every > 0 ? (r->trainer->step / every + 1) * every : steps;
    if (next > steps) next = steps;
    const double way = (double) (next - r->trainer->step) * step;
    char a[32], b[32], c[32];
    if (way <= left) return;
    const double fit = left / step;
    wb_format_seconds (a, left > 0 ? left : 0);
    wb_format_seconds (b, way);
    wb_format_seconds (c, step);
    wb_warn ("the job ends in %s, but the next checkpoint, that of step %lld, is %s away (%s a step): see to it that a "
             "signal comes before the limit (sbatch --signal), or set checkpoint.every below %.0f",
             a, (long long) next, b, c, fit > 1 ? fit : 1);
}
