/* engine: what its files share. */
#ifndef WABUN_INFER_ENGINE_H
#define WABUN_INFER_ENGINE_H

#include "infer/search.h"

enum {
    WB_ENGINE_HOLDS = 8,  /* prompts kept for texts that are not begun yet */
    WB_ENGINE_PIECE = 64, /* rows of prompts in a step beside texts that are being written */
    WB_ENGINE_ROWS = 512, /* and in a step without such texts */
    WB_ENGINE_BACK = 64,  /* tokens of paused texts pushed again in a step */
    WB_ENGINE_ECHO = 16   /* rows of logits at once for the log-probabilities of a prompt */
};

/* A request. */
typedef struct wb_group {
    wb_request_t r; /* ids: a copy */
    uint64_t id;
    int64_t begun, ended;     /* texts */
    bool prompt_done;         /* by text 0 */
    int hold;                 /* which keeps the prompt and its logits; -1: none */
    wb_search_t *search;      /* its texts are searched for; NULL: drawn */
    int width, told;          /* of a search: slots, and tokens of which there was an event */
    int lanes[WB_SEARCH_MAX]; /* [width] the slots; unfinished text i is in lanes[i] */
    struct wb_group *next;    /* in the order of submission */
} wb_group_t;

/* A text that has been begun: it holds sequence i of the inference object, i its place in slots. */
typedef struct wb_slot {
    wb_group_t *group; /* NULL: a free slot */
    int64_t number;    /* of the text in its request */
    int64_t length;    /* tokens drawn */
    int64_t told;      /* events of the prompt so far */
    int32_t *window;   /* [T] ids: the sequence holds some of the first of them */
    int64_t n;         /* of these */
    int64_t base;      /* so many were a prompt: they are pushed in pieces, the others singly */
    wb_ids_t history;  /* prompt and text, where sampling looks back; its memory is kept */
    bool paused;       /* gave its blocks back; the younger ones have done so before it */
    bool fresh;        /* its next logits are those its group holds */
} wb_slot_t;

/* Something pushed in this step: piece i of `pieces` belongs to it. */
typedef struct wb_pushed {
    int slot;
    int64_t row, from; /* first row, first position */
} wb_pushed_t;

struct wb_engine {
    const wb_model_t *m;
    wb_infer_t *inf;
    wb_arena_t *arena;
    wb_size_t size;
    int32_t eot;
    int64_t V;    /* ids that can be decoded */
    int texts;    /* slots */
    int64_t rows; /* in a step */
    wb_slot_t *slots;
    int *order; /* [n] slots in use, the oldest text first */
    int n;
    wb_group_t *groups; /* all requests */
    wb_group_t *held[WB_ENGINE_HOLDS];
    uint64_t last_id;
    wb_engine_stats_t stats; /* those of "so far" */

    wb_piece_t *pieces;  /* [texts] of a step */
    wb_pushed_t *pushed; /* [texts] */
    int npieces;
    int64_t step_rows, step_blocks;
    int32_t *tokens;    /* [rows] */
    float *hidden;      /* [rows, C] */
    float *logits;      /* [texts, V] */
    float *hold_logits; /* [WB_ENGINE_HOLDS, V] */
    float *echo;        /* [WB_ENGINE_ECHO, V] */
    float *mx, *sum, *hit;
    wb_draw_t *draws; /* [texts] */
    int *drawn;       /* [texts] whose they are */
    int ndraws;
    void *work;
};

/* engine.c */

static inline int64_t wb_engine_held (const wb_engine_t *e, int slot) { return wb_infer_length (e->inf, slot); }
/* The place of a hold as a sequence of the inference object. */
static inline int wb_engine_hold_seq (const wb_engine_t *e, int hold) { return e->texts + hold; }
void wb_engine_drop_hold (wb_engine_t *e, wb_group_t *g);
/* Tell of the end of a text, and give back what it had; its group may be freed. */
void wb_engine_end (wb_engine_t *e, int slot, wb_end end);
/* Give back what a request has, and forget it. */
void wb_engine_forget (wb_engine_t *e, wb_group_t *g);

/* engine_plan.c: begin texts, choose what this step pushes. */
void wb_engine_plan (wb_engine_t *e);
/* engine_draw.c: what comes of what was pushed. */
void wb_engine_draw (wb_engine_t *e);
/* Of `rows` <= WB_ENGINE_ECHO rows of logits [V]: maxima, sums of odds and the logits of the targets, as
 * wb_infer_logprobs() has them. */
void wb_engine_sums (wb_engine_t *e, const float *logits, const int32_t *targets, int64_t rows);
/* Append an id to a text's window; of a full one the later half stays and is pushed again. */
void wb_engine_append (wb_engine_t *e, int slot, int32_t id);

/* engine_search.c: texts that are searched for. */
wb_status wb_engine_search_new (wb_engine_t *e, wb_group_t *g) WB_NODISCARD;
/* A slot's logits, and its state [C]. */
void wb_engine_search_put (wb_engine_t *e, int slot, const float *logits, const float *state);
/* One step of each search that has all it waits for. */
void wb_engine_search (wb_engine_t *e);

#endif
