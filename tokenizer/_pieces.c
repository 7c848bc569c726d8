/* pieces.table, pieces.encode: texts cut into the pieces of a unigram model. What is cut how stands in pieces.py. */

#include "../pipeline/native.h"

enum { UNKNOWN_COST = 256, NEWLINE, HEAD = 264 }; /* places in a table's head; the first: ids of bytes */
enum { KEY = 34, IDS = 7, LONGEST = 1 << 16, AHEAD = 32 }; /* bytes, ids; characters of a word; words */
enum { BLANK = 0x2581, ESCAPE = 0x10FFFD };
#define EMPTY UINT64_MAX
#define GOLDEN 0x9E3779B97F4A7C15ull

/* A step of the tree of pieces: from a node by a character to the node that is named by the step's place plus one.
   With an id a piece ends there, and costs minus its score; `next`: by which characters pieces may go on. */
typedef struct {
    uint64_t key;
    int32_t id;
    uint16_t cost, next;
} Step;

typedef struct {
    const int32_t *head;
    Step *steps;
    uint64_t mask;
    int shift;
} Table;

/* A word that was cut before. Two places are looked at; the older goes. */
typedef struct {
    uint8_t length, count;
    uint8_t key[KEY];
    int32_t ids[IDS];
} Memo;

/* A word of a text, without the space before it, and how many newlines follow. */
typedef struct {
    const uint8_t *at;
    Py_ssize_t bytes, newlines;
    uint64_t hash;
} Word;

/* A character, its step from the root, the best way to it: what it costs, and its last piece. */
typedef struct {
    uint32_t point, first, cost;
    int32_t id, from;
} Place;

typedef struct {
    Table table;
    Memo *memo;
    int memo_shift;
    Place *places;
    int32_t *ids;
    Py_ssize_t count, room;
} Writer;

/* --- the tree ---------------------------------------------------------------------------------------------------- */

static uint16_t bit_of(uint32_t point) { return (uint16_t)(1u << (point & 15)); }

static uint64_t key_of(uint64_t node, uint32_t point) { return node << 21 | point; }

/* The place of a step, or the first free one; the table's size where there is neither. */
static uint64_t place_of(const Table *table, uint64_t key) {
    uint64_t at = key * GOLDEN >> table->shift;
    for (uint64_t tries = 0; tries <= table->mask; tries++, at = (at + 1) & table->mask)
        if (table->steps[at].key == key || table->steps[at].key == EMPTY) return at;
    return table->mask + 1;
}

/* Steps must be a power of two from 2 to 2^30. */
static int open_table(Table *table, void *buffer, Py_ssize_t bytes) {
    Py_ssize_t steps = (bytes - HEAD * 4) / (Py_ssize_t)sizeof(Step);
    if (steps < 2 || steps > 1 << 30 || steps & (steps - 1) || (uintptr_t)buffer % sizeof(uint64_t) ||
        bytes != HEAD * 4 + steps * (Py_ssize_t)sizeof(Step)) {
        PyErr_SetString(PyExc_ValueError, "no table of pieces");
        return 0;
    }
    *table = (Table){buffer, (Step *)((char *)buffer + HEAD * 4), (uint64_t)steps - 1, 64};
    while (steps >>= 1) table->shift--;
    return 1;
}

static uint64_t add_piece(Table *table, const uint32_t *points, int64_t count, int32_t id, uint16_t cost) {
    uint64_t at = 0, node = 0, added = 0;
    for (int64_t k = 0; k < count; k++, node = at + 1) {
        if (node) table->steps[node - 1].next |= bit_of(points[k]);
        uint64_t key = key_of(node, points[k]);
        if ((at = place_of(table, key)) > table->mask) return table->mask;
        if (table->steps[at].key != EMPTY) continue;
        table->steps[at] = (Step){key, -1, 0, 0};
        added++;
    }
    table->steps[at].id = id;
    table->steps[at].cost = cost;
    return added;
}

typedef struct {
    Py_buffer head, points, ends, ids, costs;
} Pieces;

static int are_sound(const Pieces *of) {
    Py_ssize_t pieces = items(&of->ends, 8), points = items(&of->points, 4);
    int64_t before = 0;
    if (pieces < 0 || points < 0 || !has(&of->head, HEAD * 4, "head") || !has(&of->ids, pieces * 4, "ids") ||
        !has(&of->costs, pieces * 2, "costs"))
        return 0;
    for (Py_ssize_t k = 0; k < pieces; k++) {
        int64_t end = ((int64_t *)of->ends.buf)[k];
        if (end <= before || end > points) PyErr_SetString(PyExc_ValueError, "a piece that ends where none can");
        if (end <= before || end > points) return 0;
        before = end;
    }
    return 1;
}

/* A table of so many steps; *full: too few of them. */
static PyObject *made(const Pieces *of, Py_ssize_t steps, int *full) {
    Py_ssize_t bytes = HEAD * 4 + steps * (Py_ssize_t)sizeof(Step);
    PyObject *result = PyBytes_FromStringAndSize(NULL, bytes);
    Table table;
    if (!result) return NULL;
    memcpy(PyBytes_AsString(result), of->head.buf, HEAD * 4);
    memset(PyBytes_AsString(result) + HEAD * 4, 0xFF, (size_t)steps * sizeof(Step));
    if (!open_table(&table, PyBytes_AsString(result), bytes)) {
        Py_DECREF(result);
        return NULL;
    }
    uint64_t used = 0;
    int64_t begin = 0;
    for (Py_ssize_t k = 0; k < items(&of->ends, 8) && used <= table.mask / 2; k++) {
        int64_t end = ((int64_t *)of->ends.buf)[k];
        used += add_piece(&table, (uint32_t *)of->points.buf + begin, end - begin, ((int32_t *)of->ids.buf)[k],
                          ((uint16_t *)of->costs.buf)[k]);
        begin = end;
    }
    *full = used > table.mask / 2;
    return result;
}

/* table(head: int32, points: uint32, ends: int64, ids: int32, costs: uint16) -> bytes */
static PyObject *table(PyObject *self, PyObject *arguments) {
    (void)self;
    Pieces of;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*", &of.head, &of.points, &of.ends, &of.ids, &of.costs)) return NULL;
    int full = are_sound(&of);
    for (Py_ssize_t steps = 1 << 10; full; steps *= 2) {
        Py_CLEAR(result);
        full = 0;
        result = made(&of, steps, &full);
    }
    PyBuffer_Release(&of.head);
    PyBuffer_Release(&of.points);
    PyBuffer_Release(&of.ends);
    PyBuffer_Release(&of.ids);
    PyBuffer_Release(&of.costs);
    return result;
}

/* --- a word ------------------------------------------------------------------------------------------------------ */

static int reserve(Writer *to, Py_ssize_t more) {
    if (to->room - to->count >= more) return 1;
    Py_ssize_t room = 2 * to->room + more;
    int32_t *ids = realloc(to->ids, (size_t)room * 4);
    if (!ids) return 0;
    to->ids = ids;
    to->room = room;
    return 1;
}

/* The character at `at`, its length in *length, 0 where that is no UTF-8. */
static uint32_t character(const uint8_t *at, Py_ssize_t left, int *length) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t point = *at;
    *length = point < 0x80 ? 1 : point < 0xC2 ? 0 : point < 0xE0 ? 2 : point < 0xF0 ? 3 : point < 0xF5 ? 4 : 0;
    if (*length < 2) return point;
    if (*length > left) *length = 0;
    point &= 0x7Fu >> *length;
    for (int k = 1; k < *length; k++) {
        if ((at[k] & 0xC0) != 0x80) *length = 0;
        else point = point << 6 | (at[k] & 0x3F);
    }
    if (point < least[*length] || point > 0x10FFFF || (point >= 0xD800 && point < 0xE000)) *length = 0;
    return point;
}

/* The characters of a word behind its space, with what escape() adds; how many, 0 where it is too long or no UTF-8. */
static int32_t characters(Place *places, const uint8_t *word, Py_ssize_t bytes) {
    int32_t count = 0;
    places[count++].point = BLANK;
    while (bytes) {
        int length;
        uint32_t point = character(word, bytes, &length);
        if (!length || count > LONGEST - 2) return 0;
        if (point == BLANK || point == ESCAPE) {
            places[count++].point = ESCAPE;
            point = point == BLANK ? '1' : '0';
        } else if (point == ' ') {
            point = BLANK;
        }
        places[count++].point = point;
        word += length;
        bytes -= length;
    }
    return count;
}

static void reach(Place *place, uint32_t cost, int32_t id, int32_t from) {
    if (cost < place->cost) {
        place->cost = cost;
        place->id = id;
        place->from = from;
    }
}

/* The steps from the root, and all else that can be known beforehand. */
static void prepare(const Table *table, Place *places, int32_t count) {
    for (int32_t k = 0; k < count; k++) {
        places[k].first = (uint32_t)place_of(table, places[k].point);
        places[k + 1].cost = UINT32_MAX;
        if (k) __builtin_prefetch(table->steps + (key_of(places[k - 1].first + 1, places[k].point) * GOLDEN >> table->shift));
    }
    places[0].cost = 0;
}

/* The cheapest way to each place. Of two that cost alike the one that is found first stays. */
static void search(const Table *table, Place *places, int32_t count) {
    prepare(table, places, count);
    for (int32_t start = 0; start < count; start++) {
        int known = 0;
        uint64_t at = places[start].first;
        for (int32_t end = start; at <= table->mask && table->steps[at].key != EMPTY; end++) {
            const Step *step = table->steps + at;
            if (step->id >= 0) {
                reach(places + end + 1, places[start].cost + step->cost, step->id, start);
                known |= end == start;
            }
            if (end + 1 == count || !(step->next & bit_of(places[end + 1].point))) break;
            at = place_of(table, key_of(at + 1, places[end + 1].point));
        }
        if (!known) reach(places + start + 1, places[start].cost + (uint16_t)table->head[UNKNOWN_COST], -1, start);
    }
}

static void put_bytes(Writer *to, uint32_t point) {
    const int32_t *byte = to->table.head;
    int shift = point < 0x80 ? 0 : point < 0x800 ? 6 : point < 0x10000 ? 12 : 18;
    to->ids[to->count++] = byte[shift ? ((0xFF00u >> (shift / 6 + 1)) & 0xFF) | point >> shift : point];
    while (shift) to->ids[to->count++] = byte[0x80 | (point >> (shift -= 6) & 0x3F)];
}

/* The pieces on the way to the last place, in order; there is room. */
static void put_way(Writer *to, Place *places, int32_t count) {
    int32_t next = -1; /* the way is turned round: `from` becomes the place that follows */
    for (int32_t at = count; at > 0;) {
        int32_t before = places[at].from;
        places[at].from = next;
        next = at;
        at = before;
    }
    int32_t start = 0;
    for (int32_t at = next; at > 0; start = at, at = places[at].from) {
        if (places[at].id >= 0) to->ids[to->count++] = places[at].id;
        else put_bytes(to, places[start].point);
    }
}

static void remember(Memo *memo, const uint8_t *word, Py_ssize_t bytes, const int32_t *ids, Py_ssize_t count) {
    if (bytes > KEY || count > IDS) return;
    memo[1] = memo[0];
    memo->length = (uint8_t)bytes;
    memo->count = (uint8_t)count;
    memcpy(memo->key, word, (size_t)bytes);
    memcpy(memo->ids, ids, (size_t)count * 4);
}

static Memo *memo_of(const Writer *to, uint64_t hash) { return to->memo + 2 * (hash * GOLDEN >> to->memo_shift); }

/* 0 where a word is not to be cut here, or memory is short. */
static int put_word(Writer *to, const uint8_t *word, Py_ssize_t bytes, uint64_t hash) {
    Memo *memo = memo_of(to, hash);
    if (bytes > 4 * LONGEST || !reserve(to, 3 * bytes + IDS)) return 0;
    for (const Memo *one = memo; bytes <= KEY && one < memo + 2; one++) {
        if (!one->count || one->count > IDS || one->length != bytes || memcmp(one->key, word, (size_t)bytes)) continue;
        memcpy(to->ids + to->count, one->ids, sizeof one->ids);
        to->count += one->count;
        return 1;
    }
    int32_t count = characters(to->places, word, bytes);
    if (!count) return 0;
    search(&to->table, to->places, count);
    Py_ssize_t before = to->count;
    put_way(to, to->places, count);
    remember(memo, word, bytes, to->ids + before, to->count - before);
    return 1;
}

static int put_words(Writer *to, const Word *words, int count) {
    for (int k = 0; k < count; k++) {
        if (!put_word(to, words[k].at, words[k].bytes, words[k].hash) || !reserve(to, words[k].newlines)) return 0;
        for (Py_ssize_t n = words[k].newlines; n; n--) to->ids[to->count++] = to->table.head[NEWLINE];
    }
    return 1;
}

/* --- a text ------------------------------------------------------------------------------------------------------ */

/* The word at `at`; returns where the next one begins. */
static const uint8_t *read_word(Word *word, const uint8_t *at, const uint8_t *end) {
    *word = (Word){at, 0, 0, 0};
    for (; at < end && *at == ' '; at++) word->hash++;
    for (; at < end && *at != ' ' && *at != '\n'; at++) word->hash = (word->hash ^ *at) * 0x100000001B3ull;
    word->bytes = at - word->at;
    const uint8_t *behind = at;
    while (at < end && *at == '\n') at++;
    word->newlines = at - behind;
    return at;
}

/* Words begin at a space, at the text's begin, and behind a newline that something else follows. Some are read ahead,
   so that what is known of them is there in time. */
static int put_text(Writer *to, const uint8_t *at, const uint8_t *end) {
    Word words[AHEAD];
    for (int more = at < end, count; more;) {
        for (count = 0; more && count < AHEAD; count++) {
            at = read_word(words + count, at, end);
            __builtin_prefetch(memo_of(to, words[count].hash));
            __builtin_prefetch(memo_of(to, words[count].hash) + 1);
            more = at < end;
            at += more && !words[count].newlines; /* the space before the next, which may be empty */
        }
        if (!put_words(to, words, count)) return 0;
    }
    return 1;
}

static int open_memo(Writer *to, const Py_buffer *memo) {
    Py_ssize_t padding = -(uintptr_t)memo->buf % sizeof(Memo), pairs = (memo->len - padding) / (2 * sizeof(Memo));
    if (memo->len < padding + 4 * (Py_ssize_t)sizeof(Memo)) {
        PyErr_SetString(PyExc_ValueError, "a memo without room");
        return 0;
    }
    to->memo = (Memo *)((char *)memo->buf + padding);
    for (to->memo_shift = 64; pairs >>= 1;) to->memo_shift--;
    return 1;
}

/* -1: an exception; 0: a text that is not to be cut here. */
static int put_texts(Writer *to, PyObject *texts, int64_t *lengths, Py_ssize_t count) {
    for (Py_ssize_t k = 0; k < count; k++) {
        char *text;
        Py_ssize_t bytes, before = to->count;
        if (PyBytes_AsStringAndSize(PyList_GetItem(texts, k), &text, &bytes) < 0) return -1;
        if (!put_text(to, (uint8_t *)text, (uint8_t *)text + bytes)) return 0;
        lengths[k] = to->count - before;
    }
    return 1;
}

static PyObject *ids_of(const Writer *from, Py_ssize_t size) {
    if (size == 4) return PyByteArray_FromStringAndSize((char *)from->ids, from->count * 4);
    PyObject *result = PyByteArray_FromStringAndSize(NULL, from->count * 2);
    uint16_t *ids = result ? (uint16_t *)PyByteArray_AsString(result) : NULL;
    for (Py_ssize_t k = 0; ids && k < from->count; k++) ids[k] = (uint16_t)from->ids[k];
    return result;
}

/* encode(table, memo, texts: list of bytes, size: 2 or 4) -> (ids, of so many bytes each, and int64 ids per text, as
   bytearrays), or None where a text is not to be cut here. */
static PyObject *encode(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer table, memo;
    PyObject *texts, *result = NULL, *ids = NULL, *lengths = NULL;
    Py_ssize_t size;
    if (!PyArg_ParseTuple(arguments, "y*w*O!n", &table, &memo, &PyList_Type, &texts, &size)) return NULL;
    Writer to = {0};
    Py_ssize_t count = PyList_Size(texts);
    int sound = open_table(&to.table, table.buf, table.len) && open_memo(&to, &memo);
    if (sound && size != 2 && size != 4) {
        PyErr_SetString(PyExc_ValueError, "ids of 2 or 4 bytes");
        sound = 0;
    }
    if (sound && (!(to.places = malloc((LONGEST + 1) * sizeof(Place))) || !reserve(&to, 1 << 16))) {
        PyErr_NoMemory();
        sound = 0;
    }
    if (sound && (lengths = PyByteArray_FromStringAndSize(NULL, count * 8))) {
        int done = put_texts(&to, texts, (int64_t *)PyByteArray_AsString(lengths), count);
        if (done == 0) result = Py_NewRef(Py_None);
        if (done > 0 && (ids = ids_of(&to, size))) result = PyTuple_Pack(2, ids, lengths);
    }
    Py_XDECREF(ids);
    Py_XDECREF(lengths);
    free(to.places);
    free(to.ids);
    PyBuffer_Release(&table);
    PyBuffer_Release(&memo);
    return result;
}

static PyMethodDef functions[] = {
    {"table", table, METH_VARARGS, "The tree of a model's pieces."},
    {"encode", encode, METH_VARARGS, "The ids of texts."},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_pieces", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__pieces(void) { return PyModule_Create(&module); }
