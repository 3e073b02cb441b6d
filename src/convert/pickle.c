/* A reader of the pickles in which PyTorch keeps a state dict: names, shapes and places of tensors.
 *
 * A pickle is a program for a machine with a stack; Python runs whatever function it names.  Here is a machine that has
 * only the instructions a state dict needs, and of functions only names it knows, which build nothing but notes: an
 * instruction or a function more is an error.  Its values are numbered and of fixed size, and an instruction makes one
 * at most, so the memory is a multiple of the bytes of the pickle.
 *
 * Instructions: https://github.com/python/cpython/blob/main/Lib/pickletools.py, those of protocol 2. */
#include "config.h"

#include <inttypes.h>
#include <string.h>

#include "convert/pickle.h"

#define TENSORS (1 << 16) /* at most */
#define NAME 256          /* bytes of one, at most */

typedef enum kind { NONE, BOOL, INT, TEXT, TUPLE, DICT, FUNCTION, STORAGE, TENSOR } kind_t;
/* FUNCTION: `which` is one of functions[]. TEXT: bytes `at` .. at + n of the pickle.  TUPLE: n of items from `at`;
 * STORAGE and TENSOR: the tuple of their arguments, likewise. */
typedef struct value {
    uint8_t kind, which;
    int32_t n;
    int64_t at; /* or the value itself */
} value_t;

typedef struct entry {
    int32_t dict, key, value;
} entry_t;

typedef struct machine {
    const char *path;
    const unsigned char *data;
    size_t n, at;
    value_t *values;
    int32_t *stack, *marks, *items, *memo;
    entry_t *entries;
    int64_t nvalues, nstack, nmarks, nitems, nentries;
    int64_t values_cap, stack_cap, marks_cap, items_cap, memo_cap, entries_cap;
} machine_t;

enum { ORDERED_DICT, REBUILD_TENSOR, REBUILD_PARAMETER, STORAGES };
static const struct {
    const char *module, *name;
    wb_dtype dtype;
    int64_t element;
} functions[] = {
    {"collections", "OrderedDict", 0, 0},         {"torch._utils", "_rebuild_tensor_v2", 0, 0},
    {"torch._utils", "_rebuild_parameter", 0, 0}, {"torch", "FloatStorage", WB_F32, 4},
    {"torch", "HalfStorage", WB_F16, 2},          {"torch", "BFloat16Storage", WB_BF16, 2},
    {"torch", "DoubleStorage", WB_F64, 8},        {"torch", "LongStorage", WB_OTHER, 8},
    {"torch", "IntStorage", WB_OTHER, 4},         {"torch", "ShortStorage", WB_OTHER, 2},
    {"torch", "CharStorage", WB_OTHER, 1},        {"torch", "ByteStorage", WB_OTHER, 1},
    {"torch", "BoolStorage", WB_OTHER, 1},
};

/* ---- values ------------------------------------------------------------------------------------------------------ */

static wb_status wrong (const machine_t *m, const char *what) {
    return WB_FAIL (WB_EDATA, "%s: byte %zu of its pickle: %s: not a state dict, or damaged", m->path, m->at, what);
}

static wb_status push_id (machine_t *m, int32_t id) {
    if (!WB_GROW (m->stack, m->stack_cap, m->nstack + 1)) return WB_NOMEM ("%s", m->path);
    m->stack[m->nstack++] = id;
    return WB_OK;
}

static wb_status push (machine_t *m, value_t v) {
    if (!WB_GROW (m->values, m->values_cap, m->nvalues + 1)) return WB_NOMEM ("%s", m->path);
    m->values[m->nvalues] = v;
    return push_id (m, (int32_t) m->nvalues++);
}

/* Nothing below the last mark is taken. */
static wb_status pop (machine_t *m, int32_t *id) {
    const int64_t floor = m->nmarks > 0 ? m->marks[m->nmarks - 1] : 0;
    if (m->nstack <= floor) return wrong (m, "an empty stack");
    *id = m->stack[--m->nstack];
    return WB_OK;
}

static const value_t *item (const machine_t *m, const value_t *tuple, int i) {
    return &m->values[m->items[tuple->at + i]];
}

/* The topmost n of the stack as a tuple. */
static wb_status make_tuple (machine_t *m, int64_t n) {
    const int64_t floor = m->nmarks > 0 ? m->marks[m->nmarks - 1] : 0;
    if (m->nstack - floor < n) return wrong (m, "an empty stack");
    if (!WB_GROW (m->items, m->items_cap, m->nitems + n)) return WB_NOMEM ("%s", m->path);
    m->nstack -= n;
    for (int64_t i = 0; i < n; i++) m->items[m->nitems + i] = m->stack[m->nstack + i];
    const value_t v = {.kind = TUPLE, .n = (int32_t) n, .at = m->nitems};
    m->nitems += n;
    return push (m, v);
}

static wb_status pop_mark (machine_t *m, int64_t *n) {
    if (m->nmarks == 0) return wrong (m, "a mark is missing");
    *n = m->nstack - m->marks[--m->nmarks];
    return WB_OK;
}

static wb_status put_entries (machine_t *m, int64_t n) {
    const int64_t floor = m->nmarks > 0 ? m->marks[m->nmarks - 1] : 0, first = m->nstack - n;
    if (n % 2 != 0 || first <= floor) return wrong (m, "an odd number of keys and values");
    const int32_t dict = m->stack[first - 1];
    if (m->values[dict].kind != DICT) return wrong (m, "a key for what is no dict");
    if (!WB_GROW (m->entries, m->entries_cap, m->nentries + n / 2 + 1)) return WB_NOMEM ("%s", m->path);
    for (int64_t i = first; i < m->nstack; i += 2)
        m->entries[m->nentries++] = (entry_t){dict, m->stack[i], m->stack[i + 1]};
    m->nstack = first;
    return WB_OK;
}

/* ---- functions --------------------------------------------------------------------------------------------------- */

/* A line of the pickle. */
static wb_status take_line (machine_t *m, const char **line, int *n) {
    const unsigned char *from = m->data + m->at, *end = memchr (from, '\n', m->n - m->at);
    if (end == NULL || end - from > 200) return wrong (m, "a name without an end");
    *line = (const char *) from;
    *n = (int) (end - from);
    m->at += (size_t) *n + 1;
    return WB_OK;
}

static bool is (const char *text, int n, const char *what) {
    return (size_t) n == strlen (what) && memcmp (text, what, (size_t) n) == 0;
}

static wb_status take_function (machine_t *m) {
    const char *module = NULL, *name = NULL;
    int nmodule = 0, nname = 0;
    WB_TRY (take_line (m, &module, &nmodule));
    WB_TRY (take_line (m, &name, &nname));
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (is (module, nmodule, functions[i].module) && is (name, nname, functions[i].name))
            return push (m, (value_t){.kind = FUNCTION, .which = (uint8_t) i});
    for (int i = 0; i < nmodule + nname; i++) /* for the message */
        if ((i < nmodule ? module[i] : name[i - nmodule]) < ' ') return wrong (m, "a function of an odd name");
    return WB_FAIL (WB_EDATA,
                    "%s: its pickle asks for '%.*s.%.*s', which no state dict needs: wabun executes nothing that a "
                    "file asks for",
                    m->path, nmodule, module, nname, name);
}

static bool all_ints (const machine_t *m, const value_t *tuple) {
    for (int i = 0; i < tuple->n; i++)
        if (item (m, tuple, i)->kind != INT) return false;
    return true;
}

/* ('storage', FloatStorage, '0', 'cpu', 768) */
static wb_status make_storage (machine_t *m) {
    int32_t id = 0;
    WB_TRY (pop (m, &id));
    const value_t t = m->values[id];
    if (t.kind != TUPLE || t.n != 5 || item (m, &t, 0)->kind != TEXT || item (m, &t, 1)->kind != FUNCTION ||
        item (m, &t, 1)->which < STORAGES || item (m, &t, 2)->kind != TEXT || item (m, &t, 4)->kind != INT)
        return wrong (m, "a storage of an unknown form");
    return push (m, (value_t){.kind = STORAGE, .at = t.at, .n = t.n});
}

/* (storage, offset, sizes, strides, requires_grad, hooks) */
static wb_status make_tensor (machine_t *m, const value_t *t) {
    if (t->n < 4 || item (m, t, 0)->kind != STORAGE || item (m, t, 1)->kind != INT || item (m, t, 2)->kind != TUPLE ||
        item (m, t, 3)->kind != TUPLE || item (m, t, 2)->n != item (m, t, 3)->n || !all_ints (m, item (m, t, 2)) ||
        !all_ints (m, item (m, t, 3)))
        return wrong (m, "a tensor of an unknown form");
    return push (m, (value_t){.kind = TENSOR, .at = t->at, .n = t->n});
}

static wb_status call (machine_t *m) {
    int32_t function = 0, arguments = 0;
    WB_TRY (pop (m, &arguments));
    WB_TRY (pop (m, &function));
    const value_t f = m->values[function], t = m->values[arguments];
    if (f.kind != FUNCTION || t.kind != TUPLE) return wrong (m, "a call of what is no function");
    if (f.which == ORDERED_DICT && t.n == 0) return push (m, (value_t){.kind = DICT});
    if (f.which == REBUILD_TENSOR) return make_tensor (m, &t);
    if (f.which == REBUILD_PARAMETER && t.n >= 1 && item (m, &t, 0)->kind == TENSOR) return push_id (m, m->items[t.at]);
    return wrong (m, "a call with other arguments");
}

/* ---- instructions ------------------------------------------------------------------------------------------------ */

static wb_status take_number (machine_t *m, uint64_t *out, size_t bytes) {
    *out = 0;
    if (m->n - m->at < bytes) return wrong (m, "cut off");
    for (size_t i = 0; i < bytes; i++) *out |= (uint64_t) m->data[m->at++] << (8 * i);
    return WB_OK;
}

static wb_status push_int (machine_t *m, size_t bytes) {
    uint64_t x;
    WB_TRY (take_number (m, &x, bytes));
    return push (m, (value_t){.kind = INT, .at = bytes == 4 ? (int64_t) (int32_t) x : (int64_t) x});
}

static wb_status push_long (machine_t *m) {
    uint64_t bytes, x;
    WB_TRY (take_number (m, &bytes, 1));
    if (bytes > 8) return wrong (m, "a number of more than 64 bits");
    WB_TRY (take_number (m, &x, (size_t) bytes));
    if (bytes > 0 && bytes < 8 && (x >> (8 * bytes - 1) & 1) != 0) x |= UINT64_MAX << (8 * bytes);
    return push (m, (value_t){.kind = INT, .at = (int64_t) x});
}

static wb_status push_text (machine_t *m) {
    uint64_t n;
    WB_TRY (take_number (m, &n, 4));
    if (n > m->n - m->at) return wrong (m, "cut off");
    m->at += (size_t) n;
    return push (m, (value_t){.kind = TEXT, .n = (int32_t) n, .at = (int64_t) (m->at - n)});
}

/* Python numbers what it keeps from 0 on. */
static wb_status keep (machine_t *m, size_t bytes) {
    uint64_t i;
    int32_t id = 0;
    WB_TRY (take_number (m, &i, bytes));
    WB_TRY (pop (m, &id));
    if (i >= m->n) return wrong (m, "an odd number in its memo");
    const int64_t before = m->memo_cap;
    if (!WB_GROW (m->memo, m->memo_cap, (int64_t) i + 1)) return WB_NOMEM ("%s", m->path);
    for (int64_t k = before; k < m->memo_cap; k++) m->memo[k] = -1;
    m->memo[i] = id;
    return push_id (m, id);
}

static wb_status recall (machine_t *m, size_t bytes) {
    uint64_t i;
    WB_TRY (take_number (m, &i, bytes));
    if (i >= (uint64_t) m->memo_cap || m->memo[i] < 0) return wrong (m, "an odd number in its memo");
    return push_id (m, m->memo[i]);
}

/* Attributes of an object, _metadata of a state dict: of no use here. */
static wb_status drop_state (machine_t *m) {
    int32_t state = 0;
    WB_TRY (pop (m, &state));
    const int64_t floor = m->nmarks > 0 ? m->marks[m->nmarks - 1] : 0;
    if (m->nstack <= floor || m->values[m->stack[m->nstack - 1]].kind != DICT)
        return wrong (m, "attributes of what is no dict");
    return WB_OK;
}

static wb_status push_mark (machine_t *m) {
    if (!WB_GROW (m->marks, m->marks_cap, m->nmarks + 1)) return WB_NOMEM ("%s", m->path);
    m->marks[m->nmarks++] = (int32_t) m->nstack;
    return WB_OK;
}

static wb_status step (machine_t *m, int code) {
    int64_t n = 0;
    uint64_t version = 0;
    switch (code) {
    case 0x80: WB_TRY (take_number (m, &version, 1)); return version == 2 ? WB_OK : wrong (m, "not of protocol 2");
    case '(': return push_mark (m);
    case ')': return make_tuple (m, 0);
    case 0x85:
    case 0x86:
    case 0x87: return make_tuple (m, code - 0x84);
    case 't': WB_TRY (pop_mark (m, &n)); return make_tuple (m, n);
    case '}': return push (m, (value_t){.kind = DICT});
    case 's': return put_entries (m, 2);
    case 'u': WB_TRY (pop_mark (m, &n)); return put_entries (m, n);
    case 'b': return drop_state (m);
    case 'c': return take_function (m);
    case 'R': return call (m);
    case 'Q': return make_storage (m);
    case 'X': return push_text (m);
    case 'K': return push_int (m, 1);
    case 'M': return push_int (m, 2);
    case 'J': return push_int (m, 4);
    case 0x8a: return push_long (m);
    case 0x88:
    case 0x89: return push (m, (value_t){.kind = BOOL, .at = code == 0x88});
    case 'N': return push (m, (value_t){.kind = NONE});
    case 'q': return keep (m, 1);
    case 'r': return keep (m, 4);
    case 'h': return recall (m, 1);
    case 'j': return recall (m, 4);
    default:
        return WB_FAIL (WB_EDATA,
                        "%s: byte %zu of its pickle is the instruction 0x%02x, which no state dict needs: save "
                        "model.state_dict() alone, or the model as safetensors",
                        m->path, m->at - 1, (unsigned) code);
    }
}

static wb_status run (machine_t *m) {
    while (m->at < m->n) {
        const int code = m->data[m->at++];
        if (code == '.') return m->nstack == 1 && m->nmarks == 0 ? WB_OK : wrong (m, "it ends too early");
        WB_TRY (step (m, code));
    }
    return wrong (m, "cut off");
}

/* ---- tensors ----------------------------------------------------------------------------------------------------- */

/* Shape, strides and the numbers of the storage they lead to. */
static wb_status place (wb_pickle_tensor_t *t, const machine_t *m, const value_t *tensor) {
    const value_t *sizes = item (m, tensor, 2), *strides = item (m, tensor, 3);
    bool empty = false, good = sizes->n <= 8 && t->numbers >= 0 && t->first >= 0;
    t->ndim = sizes->n;
    t->last = t->first;
    for (int i = 0; i < sizes->n && good; i++) {
        int64_t more;
        t->shape[i] = item (m, sizes, i)->at;
        t->stride[i] = item (m, strides, i)->at;
        good = t->shape[i] >= 0 && t->stride[i] >= 0;
        if (t->shape[i] == 0) empty = true;
        good = good && (t->shape[i] < 1 || (!__builtin_mul_overflow (t->shape[i] - 1, t->stride[i], &more) &&
                                            !__builtin_add_overflow (t->last, more, &t->last)));
    }
    if (empty) t->last = -1;
    if (good && t->last < t->numbers) return WB_OK;
    return WB_FAIL (WB_EDATA, "%s: tensor '%.100s' has an impossible size", m->path, t->name);
}

static wb_status add_tensor (wb_pickle_t *out, const machine_t *m, const value_t *key, const value_t *tensor) {
    const value_t *storage = item (m, tensor, 0), *id = item (m, storage, 2), *type = item (m, storage, 1);
    if (key->n > NAME || id->n > NAME || out->n >= TENSORS) return wrong (m, "too many tensors, or too long a name");
    if (!WB_GROW (out->list, out->cap, out->n + 1)) return WB_NOMEM ("%s", m->path);
    wb_pickle_tensor_t *t = &out->list[out->n];
    *t = (wb_pickle_tensor_t){.dtype = functions[type->which].dtype,
                              .element = functions[type->which].element,
                              .first = item (m, tensor, 1)->at,
                              .numbers = item (m, storage, 4)->at};
    t->name = wb_strndup ((const char *) m->data + key->at, (size_t) key->n);
    t->storage = wb_strndup ((const char *) m->data + id->at, (size_t) id->n);
    out->n++;
    if (t->name == NULL || t->storage == NULL) return WB_NOMEM ("%s", m->path);
    return place (t, m, tensor);
}

static wb_status gather (wb_pickle_t *out, const machine_t *m) {
    const int32_t root = m->stack[0];
    if (m->values[root].kind != DICT)
        return WB_FAIL (WB_EDATA, "%s: holds no state dict: save model.state_dict()", m->path);
    for (int64_t i = 0; i < m->nentries; i++) {
        const entry_t *e = &m->entries[i];
        if (e->dict != root || m->values[e->key].kind != TEXT || m->values[e->value].kind != TENSOR) continue;
        WB_TRY (add_tensor (out, m, &m->values[e->key], &m->values[e->value]));
    }
    return WB_OK;
}

wb_status wb_pickle_read (wb_pickle_t *out, const char *path, const char *data, size_t n) {
    machine_t m = {.path = path, .data = (const unsigned char *) data, .n = n};
    if (n > WB_PICKLE_BYTES)
        return WB_FAIL (WB_EDATA, "%s: a pickle of %zu bytes; at most %zu are read", path, n, WB_PICKLE_BYTES);
    wb_status status = run (&m);
    if (status == WB_OK) status = gather (out, &m);
    wb_free (m.values);
    wb_free (m.stack);
    wb_free (m.marks);
    wb_free (m.items);
    wb_free (m.memo);
    wb_free (m.entries);
    return status;
}

void wb_pickle_fini (wb_pickle_t *p) {
    for (int64_t i = 0; i < p->n; i++) {
        wb_free (p->list[i].name);
        wb_free (p->list[i].storage);
    }
    wb_free (p->list);
    *p = (wb_pickle_t){0};
}
