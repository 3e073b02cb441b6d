/* serve: what the files of this room share.
 *
 * One thread runs the engines: the one that called wb_serve_run().  Each connection has a thread of libmicrohttpd,
 * which reads a request, hands it over as a call and waits for what becomes of it. */
#ifndef WABUN_SERVE_PRIV_H
#define WABUN_SERVE_PRIV_H

#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "wabun/serve.h"

enum {
    WB_SERVE_DEPTH = 16,         /* of a request's JSON */
    WB_SERVE_VALUES = 1 << 19,   /* in it */
    WB_SERVE_LISTS = 20000,      /* and lists and objects */
    WB_SERVE_BODIES = 64,        /* so many of the largest size may be in memory */
    WB_SERVE_CONNECTIONS = 1000, /* at a time; half of them from one address */
    WB_SERVE_DRAIN = 30,         /* seconds to finish what is under way at the end */
    WB_SERVE_CHOICES = 128,      /* texts of one request */
    WB_SERVE_MOST = 16384,       /* tokens of a text */
    WB_SERVE_STOPS = 16,         /* stop sequences of a request */
    WB_CHAT_STOPS = 8,           /* and of a template */
    WB_CHAT_ROLES = 3,
    WB_SERVE_BUCKETS = 16 /* of a histogram */
};

/* ---- models (models.c) ------------------------------------------------------------------------------------------- */

/* How a conversation is written (chat.c). */
typedef struct wb_chat {
    json_t *json;                    /* chat.json, whose the texts are */
    const char *role[WB_CHAT_ROLES]; /* of the system (NULL: it has none), of the user, of the assistant */
    const char *begin, *reply;
    const char *stops[WB_CHAT_STOPS];
    int nstops;
} wb_chat_t;
/* The template of a model directory; NULL: it has none.  Errors: WB_EDATA. */
wb_status wb_chat_read (wb_chat_t **out, const char *model) WB_NODISCARD;
void wb_chat_destroy (wb_chat_t *t);

/* A model that is loaded. */
typedef struct wb_served {
    char *name;
    wb_chat_t *chat; /* NULL: it is not for conversations */
    wb_model_t *model;
    wb_engine_t *engine;
    int64_t since; /* seconds of 1970 */
    int users;     /* calls, under the server's lock */
    bool retired;  /* another has taken its name: it goes when nobody uses it */
    struct wb_served *next;
} wb_served_t;

/* ---- numbers (metrics.c) ----------------------------------------------------------------------------------------- */

typedef struct wb_histogram {
    int64_t count[WB_SERVE_BUCKETS + 1];
    double sum;
} wb_histogram_t;
void wb_histogram_add (wb_histogram_t *h, double seconds);

typedef struct wb_serve_stats {
    int64_t answers[6];            /* by the first digit of their code */
    int64_t calls, cancelled, cut; /* so far */
    wb_histogram_t first, between; /* seconds to the first token of a text, and from one to the next */
    wb_engine_stats_t gone;        /* sums of engines that are no more */
} wb_serve_stats_t;

/* ---- the server (server.c) --------------------------------------------------------------------------------------- */

/* A connection, and what it is about (peers.c). */
typedef enum wb_peer_state {
    WB_PEER_SILENT,   /* before a request, or in its headers */
    WB_PEER_SENDING,  /* its body comes */
    WB_PEER_WORKING,  /* it waits for an answer: wb_call_wait() has the limit */
    WB_PEER_READING,  /* the answer goes */
    WB_PEER_STREAMING /* the answer goes as it is written */
} wb_peer_state;
typedef struct wb_peer {
    int fd;
    wb_peer_state state;
    double since;
    struct wb_peer *before, *after;
} wb_peer_t;

/* Somebody with requests under way: the hash of a key or of an address. */
typedef struct wb_client {
    uint64_t id;
    int64_t open;
    struct wb_client *next;
} wb_client_t;

/* Keys that are known, once each (keys.c). */
typedef struct wb_keys {
    wb_buf_t *list;
    int64_t n, cap;
} wb_keys_t;

typedef struct wb_job wb_job_t;
typedef struct wb_server {
    const wb_serve_t *o;
    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t work;  /* there is something in the inbox */
    wb_served_t *served;  /* the retired ones last */
    wb_job_t *inbox, **inbox_end;
    int64_t open;      /* jobs that are under way or wait */
    int64_t exchanges; /* requests whose answers are not sent whole */
    bool draining;
    wb_serve_stats_t stats;
    wb_engine_stats_t engines; /* as of the last step, of all of them */
    wb_client_t *clients;
    wb_peer_t *peers;
    wb_keys_t keys; /* empty: everybody may ask */
    double started;
    _Atomic bool any_cancelled;
    _Atomic int64_t bodies; /* bytes of requests in memory */
    wb_job_t *jobs;         /* the engine thread's alone */
} wb_server_t;

/* Load what the options name, as a list.  Needs nothing of the server but its options, so any thread may do it. */
wb_status wb_served_load (wb_served_t **out, const wb_server_t *s) WB_NODISCARD;
/* The engine thread puts a list in place of the models that are there: these are retired. */
void wb_served_replace (wb_server_t *s, wb_served_t *list);
void wb_served_destroy (wb_served_t *list);
/* The engine thread frees what is retired and not used; `all`: everything. */
void wb_served_sweep (wb_server_t *s, bool all);
/* The model of a name, for one more user; NULL: there is none.  Any name, or NULL, is that of the only model. */
wb_served_t *wb_served_get (wb_server_t *s, const char *name);
void wb_served_put (wb_server_t *s, wb_served_t *m);

/* The file of bearer tokens (keys.c); none without one. */
wb_status wb_keys_read (wb_keys_t *k, const char *path) WB_NODISCARD;
void wb_keys_fini (wb_keys_t *k);
/* Is the value of an Authorization header one of them?  Takes the same time for every value of its length.  *client:
 * who it is, if there are keys. */
bool wb_keys_fit (wb_server_t *s, const char *authorization, uint64_t *client);

/* ---- connections (peers.c) --------------------------------------------------------------------------------------- */

void wb_peer_now (wb_server_t *s, wb_peer_t *p, wb_peer_state state);
/* Cut those that take longer than they may. */
void wb_peers_cut (wb_server_t *s);

/* ---- calls (jobs.c) ---------------------------------------------------------------------------------------------- */

/* A token of which somebody wants the log-probability. */
typedef struct wb_rated {
    int32_t id;
    float logprob;
    int nlikely;
    wb_likely_t likely[WB_LIKELY_MAX];
} wb_rated_t;
typedef struct wb_rated_list {
    wb_rated_t *data;
    int64_t len, cap;
} wb_rated_list_t;

/* A text of a call. */
typedef struct wb_choice {
    wb_stream_t *stream;
    wb_buf_t text;           /* what was drawn; not beyond a stop sequence */
    size_t ready;            /* bytes of it that no stop sequence can still take back */
    wb_rated_list_t records; /* of the tokens drawn */
    int64_t tokens;          /* drawn */
    const char *finish;      /* "stop", "length"; NULL: not yet */
    size_t sent;             /* bytes; for the thread of the connection */
    int64_t sent_records;
    int64_t offset; /* characters before the next record */
    bool sent_any, sent_end;
} wb_choice_t;

/* One request of the engine: a prompt with its texts. */
struct wb_job {
    struct wb_call *call;
    wb_request_t r;
    wb_ids_t ids;
    const char *prompt;      /* as it was asked for, when it was text; borrowed from the request's JSON */
    wb_choice_t *choices;    /* [r.texts] */
    wb_rated_list_t records; /* of the prompt, from its second token on */
    float *vector;           /* [C] */
    uint64_t id;
    double last;    /* when its last token of text 0 came; when it was handed over */
    int64_t ended;  /* texts */
    bool over;      /* the engine is done with it */
    wb_job_t *next; /* in the inbox, then in the engine thread's list */
};

/* What a connection waits for. */
typedef struct wb_call {
    wb_server_t *server;
    wb_served_t *served;
    wb_client_t *client; /* whose it is, since it was admitted */
    double until;        /* when it must be done */
    bool late;           /* it was not */
    pthread_mutex_t lock;
    pthread_cond_t told;
    bool telling; /* every event is of interest, not only the end */
    _Atomic bool cancelled;
    wb_job_t *jobs;         /* [njobs] */
    int64_t njobs, waiting; /* waiting: jobs the engine still has */
    wb_choice_t *choices;   /* [njobs * texts] */
    int64_t texts;          /* of each job */
    const char *stops[WB_SERVE_STOPS + WB_CHAT_STOPS];
    int nstops;
    wb_status failed; /* out of memory, bad numbers */
} wb_call_t;
/* jobs with `texts` choices each.  NULL: out of memory.  Takes over the use of `served`. */
wb_call_t *wb_call_new (wb_server_t *s, wb_served_t *served, int64_t jobs, int64_t texts);
/* Cancels what is not over, and waits until the engine has let go. */
void wb_call_destroy (wb_call_t *c);
typedef enum wb_admitted { WB_ADMITTED, WB_QUEUE_FULL, WB_CLIENT_FULL, WB_DRAINING, WB_NO_ROOM } wb_admitted;
wb_admitted wb_call_submit (wb_call_t *c, uint64_t client);
/* Wait for an event (telling) or for the end.  False: the peer of socket `fd` has gone, or its time has (c->late).  c
 * is locked. */
bool wb_call_wait (wb_call_t *c, int fd);

/* The engine thread: hand new jobs to their engines, take cancelled ones back; what has ended is told. */
void wb_jobs_begin (wb_server_t *s);
void wb_jobs_end (wb_server_t *s);

/* ---- a request and its answer (http.c, answers.c) ---------------------------------------------------------------- */

typedef struct wb_exchange {
    wb_server_t *server;
    struct MHD_Connection *connection;
    const struct wb_route *route;
    wb_buf_t body;
    json_t *json; /* of the body; NULL: it has none */
    wb_peer_t *peer;
    uint64_t client;
    int64_t seen;             /* bytes of the body that have come */
    bool too_large, too_many; /* bytes: of it, of all requests together */
    bool answered, streams;
    int status; /* of the answer */
    struct MHD_Response *response;
    wb_call_t *call; /* destroyed with the exchange */
} wb_exchange_t;

/* An error in the API's form; param and code may be NULL. */
json_t *wb_error_json (const char *message, const char *type, const char *param, const char *code);
/* Answers.  The first one counts. */
void wb_answer_json (wb_exchange_t *x, int status, json_t *json); /* takes json over; NULL: out of memory */
void wb_answer_bytes (wb_exchange_t *x, int status, const char *type, const void *data, size_t n);
/* An error as the API has it; param: the field it is about, code: for programs; both may be NULL. */
void wb_answer_error (wb_exchange_t *x, int status, const char *param, const char *code, const char *fmt, ...)
    WB_PRINTF (5, 6);
/* What was asked for as the thread's error record says it. */
void wb_answer_failed (wb_exchange_t *x);
/* Submit and wait for the end.  False: answered with an error, or nobody is there any more. */
bool wb_answer_call (wb_exchange_t *x);
int wb_exchange_fd (const wb_exchange_t *x);

/* ---- fields of a request (fields.c) ------------------------------------------------------------------------------ */

/* Parse the body: an object, UTF-8, no duplicate names, not too deep.  False: answered. */
bool wb_json_parse (wb_exchange_t *x);
/* A field that may be left out or null.  False: it is something else, or out of range, and is answered. */
bool wb_json_int (wb_exchange_t *x, const char *name, int64_t *out, int64_t min, int64_t max);
bool wb_json_number (wb_exchange_t *x, const char *name, double *out, double min, double max);
bool wb_json_bool (wb_exchange_t *x, const char *name, bool *out);
bool wb_json_text (wb_exchange_t *x, const char *name, const char **out);
/* The model that `model` names.  NULL: answered. */
wb_served_t *wb_json_model (wb_exchange_t *x);
/* Texts or ids to be read: a text, a list of texts, a list of ids, a list of lists.  *n is how many; then for each i
 * its ids are appended, and *text is it when it is a text.  False: answered. */
bool wb_json_prompts (wb_exchange_t *x, const char *name, int64_t *n, int64_t max);
bool wb_json_prompt (wb_exchange_t *x, const char *name, int64_t i, const wb_served_t *m, wb_ids_t *ids,
                     const char **text);

/* ---- what is answered ------------------------------------------------------------------------------------------ */

typedef struct wb_route {
    const char *method, *path;
    void (*answer) (wb_exchange_t *x);
    bool open; /* needs no key */
} wb_route_t;
extern const wb_route_t wb_routes[]; /* ends with a NULL method */

void wb_answer_completions (wb_exchange_t *x);
void wb_answer_chat (wb_exchange_t *x);
void wb_answer_models (wb_exchange_t *x);
void wb_answer_tokenize (wb_exchange_t *x);
void wb_answer_detokenize (wb_exchange_t *x);
void wb_answer_score (wb_exchange_t *x);
void wb_answer_embeddings (wb_exchange_t *x);
void wb_answer_health (wb_exchange_t *x);
void wb_answer_metrics (wb_exchange_t *x);
void wb_answer_page (wb_exchange_t *x);
void wb_answer_style (wb_exchange_t *x);
void wb_answer_script (wb_exchange_t *x);
void wb_answer_words (wb_exchange_t *x);
void wb_answer_icon (wb_exchange_t *x);

/* What all answers to one completion begin with. */
typedef struct wb_completion {
    char id[40];
    int64_t created;
    bool chat, echo, stream, usage, logprobs;
} wb_completion_t;
json_t *wb_completion_begin (const wb_completion_t *c, const wb_call_t *call);
/* {"prompt_tokens", ...} */
json_t *wb_completion_usage (const wb_call_t *call);
/* Answer by server-sent events; c is copied. */
void wb_answer_stream (wb_exchange_t *x, const wb_completion_t *c);
/* The text of a prompt. */
wb_status wb_completion_prompt (wb_buf_t *out, const wb_job_t *j) WB_NODISCARD;

/* The ids of the conversation that is asked for.  False: answered. */
bool wb_chat_prompt (wb_exchange_t *x, const wb_served_t *m, wb_ids_t *ids);
/* A choice, and the list of one that an event has; takes logprobs over. */
json_t *wb_chat_choice (const wb_completion_t *c, const wb_served_t *m, const wb_choice_t *choice, int64_t index);
json_t *wb_chat_delta (int64_t index, bool first, const char *text, size_t n, json_t *logprobs, const char *finish);

/* A token as text: its characters, or "bytes:\xe3" where it has no whole ones. */
json_t *wb_token_text (const wb_served_t *m, int32_t id);
/* The characters that begin in a token. */
int64_t wb_token_characters (const wb_served_t *m, int32_t id);
/* "logprobs" of an answer: of the prompt where `job` is not NULL, then of records from .. of a choice.  *offset:
 * characters before the first of them, then after the last. */
json_t *wb_logprobs (const wb_served_t *m, const wb_job_t *job, const wb_choice_t *choice, int64_t from,
                     int64_t *offset);
/* The same of a conversation, which has another form. */
json_t *wb_chat_logprobs (const wb_served_t *m, const wb_choice_t *choice, int64_t from);

#endif
