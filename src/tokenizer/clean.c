/* clean: web addresses, e-mail addresses, telephone numbers, dates and prices become tags.
 *
 * The patterns are those of gpt2-japanese, and so is their meaning: leftmost, the first alternative that leads to a
 * match, with backtracking.  A backtracker takes exponential time on some of them (digits of two scripts in turn), so
 * this one remembers at which (place in the program, place in the text) it has failed before.  None of the patterns
 * refers back to what it matched, so a state that failed once fails always, from whatever start it is reached: one set
 * of failed states serves all starts, and a whole text costs time linear in its length, with the backtracker's
 * own result.  (The idea of RE2's BitState, without its limits.)
 *
 * Why no library: PCRE2 gives up on such texts at its match limit, with or without its compiler, and then a document
 * has no ids, or others than the original's; RE2 and its like find another match where alternatives begin alike.  A
 * test compares this matcher with PCRE2 on thousands of texts (tests/unit/test_clean.c).
 *
 * `\d` is every decimal digit (Nd) of Unicode 14, in a table, so that ids do not change with a library.
 *
 * Not done here: full-width forms (ja_bpe.c narrows them first); captures, anchors, named classes, lazy and possessive
 * repetition, which these patterns do not use. */
#include "config.h"

#include <string.h>

#include "tokenizer/tokenizer_priv.h"

#define MONTH "(0?[1-9]|1[0-2])"
#define DAY "(0?[1-9]|[12][0-9]|3[01])"
#define TIMES                                                                                          \
    "(\\d{1,2}|:|\\d{1,2}時|\\d{1,2}分|\\(日\\)|\\(月\\)|\\(火\\)|\\(水\\)|\\(木\\)|\\(金\\)|" \
    "\\(土\\)"
#define DATE "([12]\\d{3}[-/年])*" MONTH "[-/月](" DAY "日?)*" TIMES
#define ERAS "(明治|大正|昭和|平成|令和"
#define ERA_DATE "\\d{1,2}年" MONTH "月" DAY "日" TIMES

/* Where a second pattern is given, it is that of the second encoder (ja-swe). */
static const struct {
    const char *pattern, *tag, *other;
} rules[] = {
    {"(https?|ftp)(://[-_.!~*'()a-zA-Z0-9;/?:@&=+$,%#]+)", "<URL>", NULL},
    {"[A-Za-z0-9._+]*@[-_0-9A-Za-z]+(\\.[A-Za-z]+)*", "<EMAIL>", NULL},
    {"\\(?[0-9]{2,4}[-)(]?[0-9]{2,4}[-)]?[0-9]{3,4}", "<TEL>", NULL},
    {DATE ")*", "<DATE>", DATE "|㈰|㈪|㈫|㈬|㈭|㈮|㈯)*"},
    {ERAS ")" ERA_DATE ")*", "<DATE>", ERAS "|㍾|㍽|㍼|㍻|\u32ff)" ERA_DATE "|㈰|㈪|㈫|㈬|㈭|㈮|㈯)*"},
    {"(" WB_CLEAN_NUMBER "億)*(" WB_CLEAN_NUMBER "万)*(" WB_CLEAN_NUMBER "千)*" WB_CLEAN_NUMBER
     "(千円|万円|千万円|円|千ドル|万ドル|千万ドル|ドル|千ユーロ|万ユーロ|千万ユーロ|ユーロ)+"
     "(\\(税込\\)|\\(税抜\\)|\\+tax)*",
     "<PRICE>", NULL},
};
#define RULES ((int) (sizeof rules / sizeof rules[0]))

/* First of each ten digits, sorted. */
static const uint32_t digits[] = {
    0x0030,  0x0660,  0x06f0,  0x07c0,  0x0966,  0x09e6,  0x0a66,  0x0ae6,  0x0b66,  0x0be6,  0x0c66,
    0x0ce6,  0x0d66,  0x0de6,  0x0e50,  0x0ed0,  0x0f20,  0x1040,  0x1090,  0x17e0,  0x1810,  0x1946,
    0x19d0,  0x1a80,  0x1a90,  0x1b50,  0x1bb0,  0x1c40,  0x1c50,  0xa620,  0xa8d0,  0xa900,  0xa9d0,
    0xa9f0,  0xaa50,  0xabf0,  0xff10,  0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0,
    0x11450, 0x114d0, 0x11650, 0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60,
    0x16ac0, 0x16b50, 0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0};

static bool is_digit (uint32_t c) {
    if (c < 0x80) return c - '0' < 10;
    if (c < digits[1]) return false;
    size_t low = 0, high = sizeof digits / sizeof digits[0];
    while (high - low > 1) {
        size_t mid = (low + high) / 2;
        if (digits[mid] <= c)
            low = mid;
        else
            high = mid;
    }
    return c - digits[low] < 10;
}

/* ---- programs -------------------------------------------------------------------------------------------------- */

typedef enum { CHAR, SET, DIGIT, SPLIT, JUMP, DONE } op_t;
typedef struct inst {
    op_t op;
    uint32_t c;   /* CHAR: it; SET: which; SPLIT: number among the splits */
    int32_t x, y; /* SPLIT: first choice, then second; JUMP: x.  Relative, so that code can be moved and copied. */
} inst_t;

#define MAX_CODE 320
#define MAX_SETS 24
#define MAX_ELSE 4
#define MAX_TAG 8
typedef struct set {
    uint64_t ascii[2];
    uint32_t other[MAX_ELSE]; /* 0: none */
} set_t;

typedef struct program {
    inst_t code[MAX_CODE];
    set_t sets[MAX_SETS];
    int n, nsets, splits;
    uint32_t tag[MAX_TAG];
    size_t taglen;
} program_t;

struct wb_clean {
    program_t rules[RULES];
    uint8_t first[0x10000]; /* bit i: pattern i may begin with this character */
    uint8_t first_digit;    /* the same for digits above U+FFFF */
};

static bool in_set (const set_t *s, uint32_t c) {
    if (c < 128) return (s->ascii[c >> 6] >> (c & 63) & 1) != 0;
    for (int i = 0; i < MAX_ELSE && s->other[i] != 0; i++)
        if (s->other[i] == c) return true;
    return false;
}

/* The patterns are constants: what does not fit is a broken invariant, not an error. */
typedef struct parser {
    program_t *p;
    const char *at;
} parser_t;

static uint32_t next_char (parser_t *q) {
    size_t length;
    WB_ASSERT (*q->at != 0);
    uint32_t c = wb_utf8_get (q->at, strlen (q->at), &length);
    q->at += length;
    return c;
}

static int emit (program_t *p, inst_t i) {
    WB_ASSERT (p->n < MAX_CODE);
    p->code[p->n] = i;
    return p->n++;
}

/* Code from `at` on moves up by one; jumps inside it stay right, being relative. */
static void insert (program_t *p, int at, inst_t i) {
    emit (p, i);
    memmove (p->code + at + 1, p->code + at, (size_t) (p->n - 1 - at) * sizeof i);
    p->code[at] = i;
}

static void parse_set (parser_t *q) {
    WB_ASSERT (q->p->nsets < MAX_SETS);
    set_t *s = &q->p->sets[q->p->nsets];
    int others = 0;
    for (uint32_t c; (c = next_char (q)) != ']';) {
        uint32_t last = c;
        if (q->at[0] == '-' && q->at[1] != ']') {
            q->at++;
            last = next_char (q);
        }
        if (c >= 128) {
            WB_ASSERT (last == c && others < MAX_ELSE);
            s->other[others++] = c;
        } else
            for (; c <= last; c++) s->ascii[c >> 6] |= (uint64_t) 1 << (c & 63);
    }
    emit (q->p, (inst_t){.op = SET, .c = (uint32_t) q->p->nsets++});
}

static void parse_either (parser_t *q);

static void parse_atom (parser_t *q) {
    uint32_t c = next_char (q);
    if (c == '[') {
        parse_set (q);
    } else if (c == '(') {
        parse_either (q);
        WB_ASSERT (*q->at == ')');
        q->at++;
    } else if (c == '\\' && *q->at == 'd') {
        q->at++;
        emit (q->p, (inst_t){.op = DIGIT});
    } else {
        if (c == '\\') c = next_char (q);
        emit (q->p, (inst_t){.op = CHAR, .c = c});
    }
}

static void parse_repeated (parser_t *q) {
    program_t *p = q->p;
    const int start = p->n;
    parse_atom (q);
    const int size = p->n - start;
    switch (*q->at) {
    case '?': insert (p, start, (inst_t){.op = SPLIT, .x = 1, .y = size + 1}); break;
    case '*':
        insert (p, start, (inst_t){.op = SPLIT, .x = 1, .y = size + 2});
        emit (p, (inst_t){.op = JUMP, .x = -(size + 1)});
        break;
    case '+': emit (p, (inst_t){.op = SPLIT, .x = -size, .y = 1}); break;
    case '{': { /* {m} or {m,n} with one figure each */
        int m = q->at[1] - '0', n = m;
        q->at += 2;
        if (*q->at == ',') {
            n = q->at[1] - '0';
            q->at += 2;
        }
        WB_ASSERT (*q->at == '}' && n >= 1 && n >= m);
        inst_t once[16];
        WB_ASSERT (size <= 16);
        memcpy (once, p->code + start, (size_t) size * sizeof once[0]);
        p->n = start;
        for (int i = 0; i < n; i++) {
            if (i >= m) emit (p, (inst_t){.op = SPLIT, .x = 1, .y = (n - i) * (size + 1)});
            for (int k = 0; k < size; k++) emit (p, once[k]);
        }
        break;
    }
    default: return;
    }
    q->at++;
}

static void parse_either (parser_t *q) {
    const int start = q->p->n;
    while (*q->at != 0 && *q->at != '|' && *q->at != ')') parse_repeated (q);
    if (*q->at != '|') return;
    q->at++;
    insert (q->p, start, (inst_t){.op = SPLIT, .x = 1, .y = q->p->n - start + 2});
    int jump = emit (q->p, (inst_t){.op = JUMP});
    parse_either (q);
    q->p->code[jump].x = q->p->n - jump;
}

/* Every character that a match may begin with, from place pc on. */
static void mark_first (wb_clean_t *c, const program_t *p, int pc, uint8_t bit, bool seen[MAX_CODE]) {
    if (seen[pc]) return;
    seen[pc] = true;
    const inst_t *i = &p->code[pc];
    switch (i->op) {
    case CHAR:
        WB_ASSERT (i->c < 0x10000);
        c->first[i->c] |= bit;
        break;
    case SET:
    case DIGIT:
        for (uint32_t x = 0; x < 0x10000; x++)
            if (i->op == SET ? in_set (&p->sets[i->c], x) : is_digit (x)) c->first[x] |= bit;
        if (i->op == DIGIT) c->first_digit |= bit;
        break;
    case SPLIT: mark_first (c, p, pc + i->y, bit, seen); /* fall through */
    case JUMP: mark_first (c, p, pc + i->x, bit, seen); break;
    case DONE: WB_ASSERT (!"a pattern that matches nothing"); break;
    }
}

static const char *pattern_of (int rule, bool other) {
    return other && rules[rule].other != NULL ? rules[rule].other : rules[rule].pattern;
}

wb_status wb_clean_new (wb_clean_t **out, bool other_dates) {
    *out = NULL;
    wb_clean_t *c = wb_calloc (1, sizeof *c);
    if (c == NULL) return WB_NOMEM ("patterns");
    for (int r = 0; r < RULES; r++) {
        program_t *p = &c->rules[r];
        parser_t q = {p, pattern_of (r, other_dates)};
        parse_either (&q);
        WB_ASSERT (*q.at == 0);
        emit (p, (inst_t){.op = DONE});
        for (int i = 0; i < p->n; i++)
            if (p->code[i].op == SPLIT) p->code[i].c = (uint32_t) p->splits++;
        bool seen[MAX_CODE] = {false};
        mark_first (c, p, 0, (uint8_t) (1u << r), seen);
        for (const char *s = rules[r].tag; *s != 0; s++) {
            WB_ASSERT (p->taglen < MAX_TAG);
            p->tag[p->taglen++] = (unsigned char) *s;
        }
    }
    *out = c;
    return WB_OK;
}

void wb_clean_destroy (wb_clean_t *c) { wb_free (c); }

const char *wb_clean_pattern (int i, bool other_dates, const char **tag) {
    if (i >= RULES) return NULL;
    *tag = rules[i].tag;
    return pattern_of (i, other_dates);
}

uint32_t wb_clean_zero (int i) { return i < (int) (sizeof digits / sizeof digits[0]) ? digits[i] : 0; }

/* ---- matching -------------------------------------------------------------------------------------------------- */

typedef struct state {
    int32_t pc;
    size_t at;
} state_t;

/* What one search through one text needs. */
typedef struct search {
    const program_t *p;
    const uint32_t *text;
    size_t n;
    state_t *stack;
    size_t depth, stack_cap;
    /* Splits tried at each place of the text from `base` on: `words` words each, `rows` of them in use. */
    uint64_t *tried;
    size_t words, base, rows;
    size_t room; /* of `tried`, in words */
} search_t;

static wb_status push (search_t *s, int32_t pc, size_t at) {
    if (s->depth == s->stack_cap) {
        size_t cap = s->stack_cap > 0 ? 2 * s->stack_cap : 64;
        state_t *p = wb_realloc (s->stack, cap * sizeof *p);
        if (p == NULL) return WB_NOMEM ("patterns");
        s->stack = p;
        s->stack_cap = cap;
    }
    s->stack[s->depth++] = (state_t){pc, at};
    return WB_OK;
}

static wb_status make_row (search_t *s, size_t row) {
    if ((row + 1) * s->words > s->room) {
        size_t room = s->room > 0 ? 2 * s->room : 256;
        if (room < (row + 1) * s->words) room = (row + 1) * s->words;
        uint64_t *p = wb_realloc (s->tried, room * sizeof *p);
        if (p == NULL) return WB_NOMEM ("patterns");
        s->tried = p;
        s->room = room;
    }
    memset (s->tried + s->rows * s->words, 0, (row + 1 - s->rows) * s->words * sizeof *s->tried);
    s->rows = row + 1;
    return WB_OK;
}

/* Match at `start`; *end = SIZE_MAX when there is none. */
static wb_status match (search_t *s, size_t start, size_t *end) {
    const inst_t *code = s->p->code;
    *end = SIZE_MAX;
    if (start >= s->base + s->rows) { /* nothing known from here on */
        s->base = start;
        s->rows = 0;
    }
    s->depth = 0;
    int32_t pc = 0;
    size_t at = start;
    for (;;) {
        const inst_t *i = &code[pc];
        bool go = true;
        switch (i->op) {
        case CHAR: go = at < s->n && s->text[at] == i->c; break;
        case SET: go = at < s->n && in_set (&s->p->sets[i->c], s->text[at]); break;
        case DIGIT: go = at < s->n && is_digit (s->text[at]); break;
        case JUMP: pc += i->x; continue;
        case DONE: *end = at; return WB_OK;
        case SPLIT: {
            size_t row = at - s->base;
            if (row >= s->rows) WB_TRY (make_row (s, row));
            uint64_t *word = &s->tried[row * s->words + i->c / 64], bit = (uint64_t) 1 << (i->c % 64);
            if ((*word & bit) == 0) {
                *word |= bit;
                WB_TRY (push (s, pc + i->y, at));
                pc += i->x;
                continue;
            }
            go = false;
            break;
        }
        }
        if (go) {
            pc++;
            at++;
        } else if (s->depth > 0) {
            s->depth--;
            pc = s->stack[s->depth].pc;
            at = s->stack[s->depth].at;
        } else
            return WB_OK;
    }
}

static bool may_begin (const wb_clean_t *c, uint32_t x, unsigned bit) {
    if (x < 0x10000) return (c->first[x] & bit) != 0;
    return (c->first_digit & bit) != 0 && is_digit (x);
}

/* Replace all matches of rule r.  *changed: the result is in `out`. */
static wb_status replace (const wb_clean_t *c, int r, search_t *s, wb_cps_t *out, const wb_cps_t *in, bool *changed) {
    const unsigned bit = 1u << r;
    size_t copied = 0;
    *changed = false;
    s->p = &c->rules[r];
    s->text = in->data;
    s->n = in->len;
    s->words = ((size_t) s->p->splits + 63) / 64;
    s->base = s->rows = 0;
    out->len = 0;
    for (size_t i = 0; i < in->len;) {
        if (!may_begin (c, in->data[i], bit)) {
            i++;
            continue;
        }
        size_t end;
        WB_TRY (match (s, i, &end));
        if (end == SIZE_MAX) {
            i++;
            continue;
        }
        WB_TRY (wb_cps_put (out, in->data + copied, i - copied));
        WB_TRY (wb_cps_put (out, s->p->tag, s->p->taglen));
        *changed = true;
        i = copied = end;
        /* What was tried at the match's end led to the match; what was tried after it has failed. */
        if (end >= s->base && end - s->base < s->rows)
            memset (s->tried + (end - s->base) * s->words, 0, s->words * sizeof *s->tried);
    }
    if (*changed) WB_TRY (wb_cps_put (out, in->data + copied, in->len - copied));
    return WB_OK;
}

wb_status wb_clean_run (const wb_clean_t *c, wb_cps_t *text, wb_cps_t *spare) {
    search_t s = {0};
    wb_status status = WB_OK;
    for (int r = 0; r < RULES && status == WB_OK; r++) {
        bool changed;
        status = replace (c, r, &s, spare, text, &changed);
        if (status != WB_OK || !changed) continue;
        wb_cps_t t = *text;
        *text = *spare;
        *spare = t;
    }
    wb_free (s.stack);
    wb_free (s.tried);
    return status;
}
