/* What the files of the trainer share.
 *
 *   batch.c    which batches and layouts work; choosing the micro-batch
 *   memory_estimate.c   bytes of a rank before anything is allocated
 *   trainer.c  allocation, groups, accessors
 *   pipe.c     messages to the neighbours in the pipeline
 *   step.c     a step, and an evaluation
 *   worst.c    the sequences of a step with the highest losses
 */
#ifndef WABUN_TRAIN_PRIV_H
#define WABUN_TRAIN_PRIV_H

#include "train/optim.h"

/* ---- messages to the neighbours in the pipeline (pipe.c) --------------------------------------------------------- */

/* Messages in one direction: activations to the next stage, or gradients to the previous one. */
typedef struct wb_direction {
    wb_link_t *out, *in;
    int64_t begun, ended; /* messages sent, and waited for */
    int64_t *sent;        /* [chunk * slots + slot] number of the last message from that buffer */
    int posted;           /* position in the schedule up to which receives are posted */
} wb_direction_t;

/* Without a pipeline there are no links, and all functions do nothing. */
typedef struct wb_pipe {
    wb_stage_t *stage;
    int slots;      /* largest number of slots of a chunk */
    int64_t floats; /* of a message */
    wb_direction_t forward, backward;
} wb_pipe_t;

/* The links of this rank.  stage: borrowed.  Not collective.  Errors: WB_ENOMEM. */
wb_status wb_pipe_init (wb_pipe_t *out, const wb_topo_t *topo, wb_stage_t *stage, int64_t floats, int chunks,
                        int slots) WB_NODISCARD;
void wb_pipe_fini (wb_pipe_t *p);
void wb_pipe_poll (wb_pipe_t *p);
/* Before a schedule, and before its action i: post the receives whose buffers are free by then. */
void wb_pipe_begin (wb_pipe_t *p);
void wb_pipe_post (wb_pipe_t *p, const wb_schedule_t *s, int i);
/* A transfer of the schedule; `op` says which. */
void wb_pipe_transfer (wb_pipe_t *p, wb_op op, int chunk, int slot);
/* Wait until all messages from a slot's buffers have left, so that they may be overwritten; until all have left. */
void wb_pipe_wait_slot (wb_pipe_t *p, int chunk, int slot);
void wb_pipe_end (wb_pipe_t *p);
/* Seconds spent waiting for neighbours since init. */
double wb_pipe_seconds_waited (const wb_pipe_t *p);

/* ---- the trainer ------------------------------------------------------------------------------------------------- */

typedef struct wb_batch {
    int32_t *ids, *tokens, *targets; /* [T + 1], [micros, B, T], [micros, B, T] */
    float *loss;                     /* [B, T] */
    double *losses;                  /* [micros, B] mean of each sequence, nats; where the head is */
} wb_batch_t;

struct wb_trainer_impl {
    wb_stage_t *stage;
    wb_gradsync_t *sync;
    wb_pipe_t pipe;
    wb_schedule_t *schedule, *evaluation;
    int evaluation_micros;
    const wb_optimizer_t *optimizer; /* its row */
    void *matrices;                  /* of optimizer->matrices; NULL: it has none */
    wb_segment_t *block;
    int nblock;
    wb_segment_t *owned, *updated; /* gradsync's, with the places in our state */
    int nowned, nupdated;
    wb_arena_t *param_arena, *batch_arena;
    wb_batch_t batch;
};

/* The schedule of a step and what it asks of the stage.  Errors: WB_ENOMEM. */
wb_status wb_trainer_schedule (wb_schedule_t **out, wb_stage_options_t *so, const wb_step_options_t *o,
                               const wb_layout_t *lo) WB_NODISCARD;
/* Take the buffers of `micros` micro-batches from an arena, or count their bytes. */
void wb_batch_carve (wb_batch_t *out, wb_arena_t *arena, const wb_step_options_t *o, int micros);
/* Does each node have what its ranks will allocate?  Collective over topo->world.  Errors: WB_ENOMEM, agreed. */
wb_status wb_trainer_check_memory (const wb_topo_t *topo, const wb_step_options_t *o,
                                   const wb_layout_t *lo) WB_NODISCARD;

#endif
