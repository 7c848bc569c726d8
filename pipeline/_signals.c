/* signals.measure: everything that is counted in a text, in whole numbers. */

#include "spans.h"

/* Bits of a code point in signals.traits(), above those of words.classes(); the highest byte is its script. */
enum {
    TERMINAL = 1 << 8, FULL = 1 << 9, CLOSER = 1 << 10, BULLET = 1 << 11, DASH = 1 << 12, UPPER = 1 << 13,
    LOWER = 1 << 14, PUNCTUATION = 1 << 15, SYMBOL = 1 << 16, GREEK = 1 << 17, DENSE = 1 << 18, ELLIPSIS = 1 << 19, STAND_IN = 1 << 20,
    SCRIPT = 24
};
/* What is counted, in the order of signals.COUNTS. */
enum {
    VISIBLE, WORDS, WORD_CHARACTERS, LONGEST_WORD, LETTER_WORDS, STOP_WORDS, STOP_WORD_TOKENS, DISTINCT_WORDS,
    MIXED_WORDS, LETTERS, MAIN_LETTERS, UPPERS, CASED, DIGITS, PUNCTUATIONS, SYMBOLS, CURLY, HASHES, ELLIPSES, NEWLINES,
    LINES, PARAGRAPHS, LINE_CHARACTERS, SENTENCES, BULLETS, CUT, ENDED, SHORT, LONG, PROSE, PROSE_SENTENCES, POLICY,
    PLACEHOLDER, REPEATED_LINES, REPEATED_LINE_CHARACTERS, REPEATED_PARAGRAPHS, REPEATED_PARAGRAPH_CHARACTERS, TOP_2,
    REPEATED_5 = TOP_2 + 3, COMPRESSED = REPEATED_5 + 6, COUNTS
};
enum { SHORT_LINE = 30, LONG_LINE = 200, PROSE_WORDS = 5, LONG_WORD = 1000, QUAD = 4, REFERENCE = 3, SEEN = 4096 };

static const uint64_t MIX = 0x9E3779B97F4A7C15u, STEP = 0xD6E8FEB86659FD93u;

typedef struct {  /* an open hash table of (key, value) pairs; value 0: free */
    const uint64_t *slots;
    Py_ssize_t mask;
} Table;

typedef struct {
    const uint32_t *points, *traits, *lower;
    const uint8_t *classes;
    Py_ssize_t count, lowered;
    Table stops, firsts;
    const uint64_t *phrases;
    Py_ssize_t phrases_count;
    Py_ssize_t words, lines, paragraphs;
    int64_t *starts, *ends;
    uint64_t *word_hashes, *line_hashes, *paragraph_hashes;
    uint32_t *line_lengths, *paragraph_lengths, *ids, *twice;
    uint64_t *keys, stops_seen;
    uint32_t *values;
    int64_t scripts[256], unspaced, dense;
    int64_t found[COUNTS];
} Text;

/* A hash is finished(sum over k of mixed(code point k in lower case) * STEP^k). */
static inline uint64_t finished(uint64_t sum) { return (sum ^ sum >> 31) * MIX; }

static uint64_t look_up(Table table, uint64_t key) {
    for (uint64_t slot = key;; slot++) {
        const uint64_t *pair = table.slots + 2 * (slot & (uint64_t)table.mask);
        if (!pair[1] || pair[0] == key) return pair[1];
    }
}

/* --- lines and their words -----------------------------------------------------------------------------------------*/

/* The kinds (a bit set) of the phrases that begin at a word. `last`: the first word that is out of reach. */
static uint64_t phrases_at(const Text *t, Py_ssize_t word, Py_ssize_t last) {
    uint64_t place = look_up(t->firsts, t->word_hashes[word]), kinds = 0;
    while (place && place + 2 <= (uint64_t)t->phrases_count && t->phrases[place]) {
        uint64_t kind = t->phrases[place], length = t->phrases[place + 1];
        const uint64_t *hashes = t->phrases + place + 2;
        place += 2 + length;
        if (length > (uint64_t)t->phrases_count || place > (uint64_t)t->phrases_count) break;
        if (length > (uint64_t)(last - word)) continue;
        uint64_t k = 0;
        while (k < length && t->word_hashes[(uint64_t)word + k] == hashes[k]) k++;
        if (k == length) kinds |= kind;
    }
    return kinds;
}

typedef struct {  /* of the characters of a line */
    int64_t visible, uppers, cased, digits, punctuations, symbols, curly, hashes, run;
    uint64_t sum, power;
    uint32_t script;
} Tally;

/* Counts a character; returns what it adds to a hash. */
static inline uint64_t count_character(Text *t, Tally *c, uint32_t point, uint32_t bits) {
    c->visible += !(bits & SPACE);
    c->uppers += bits / UPPER & 1;
    c->cased += (bits & (UPPER | LOWER)) != 0;
    c->digits += bits / DIGIT & 1;
    c->punctuations += bits / PUNCTUATION & 1;
    c->symbols += bits / SYMBOL & 1;
    c->curly += point == '{';
    c->hashes += point == '#';
    uint32_t script = bits >> SCRIPT;
    if (script && script != c->script) {
        t->scripts[c->script] += c->run;
        c->script = script;
        c->run = 0;
    }
    c->run += script != 0;
    uint64_t value = ((Py_ssize_t)point < t->lowered ? t->lower[point] : point) * MIX;
    value ^= value >> 29;
    c->sum += value * c->power;
    c->power *= STEP;
    return value;
}

static void count_word(Text *t, Tally *c, Py_ssize_t word) {
    Py_ssize_t start = t->starts[word], end = t->ends[word];
    uint64_t sum = 0, power = 1, scripts = 0;
    uint32_t any = 0;
    for (Py_ssize_t place = start; place < end; place++, power *= STEP) {
        uint32_t bits = t->traits[t->points[place]];
        sum += count_character(t, c, t->points[place], bits) * power;
        any |= bits;
        scripts |= (uint64_t)1 << (bits >> SCRIPT & 63);
    }
    uint64_t stop = look_up(t->stops, t->word_hashes[word] = finished(sum));
    if (stop) t->found[STOP_WORD_TOKENS]++, t->stops_seen |= (uint64_t)1 << ((stop - 1) & 63);
    scripts &= ~(uint64_t)1;
    t->found[LETTER_WORDS] += (any & LETTER) != 0;
    t->found[MIXED_WORDS] += (scripts & (scripts - 1)) != 0;
    t->found[WORD_CHARACTERS] += end - start;
    if (end - start > t->found[LONGEST_WORD]) t->found[LONGEST_WORD] = end - start;
    uint32_t first = t->traits[t->points[start]];
    t->unspaced += (first & UNSPACED) != 0;
    t->dense += (first & DENSE) != 0;
}

/* The length of what stands in for the end of a sentence at `place`: words.STAND_INS. */
static Py_ssize_t stand_in(const Text *t, Py_ssize_t start, Py_ssize_t place, Py_ssize_t end) {
    if (place <= start) return 0;
    uint32_t point = t->points[place], before = t->points[place - 1];
    if (point == ';') return (t->traits[before] & GREEK) != 0;
    if (point == ':' && before >= 0x531 && before <= 0x587) return 1;
    int doubled = (point == ':' || point == 0x1361) && place + 1 < end && t->points[place + 1] == point;
    return doubled && before >= 0x1200 && before <= 0x135F ? 2 : 0;
}

/* Whether white space or the line's end follows, behind quotes and brackets that close. */
static int is_free(const Text *t, Py_ssize_t place, Py_ssize_t end) {
    while (place < end && t->traits[t->points[place]] & CLOSER) place++;
    return place == end || t->traits[t->points[place]] & SPACE;
}

/* Ends of sentences in a run of marks that begins at `place` (words.sentence_ends), and its ellipses; moves `place`
   behind it. */
static int64_t count_ends(Text *t, Py_ssize_t *place, Py_ssize_t end) {
    const uint32_t *points = t->points, *traits = t->traits;
    Py_ssize_t run = *place, dots = 0;
    int64_t full = 0;
    int before = 0;
    for (; run < end && traits[points[run]] & (TERMINAL | ELLIPSIS); run++) {
        dots = points[run] == '.' ? dots + 1 : 0;
        t->found[ELLIPSES] += traits[points[run]] & ELLIPSIS || (dots && dots % 3 == 0);
        int now = (traits[points[run]] & FULL) != 0;
        full += now && !before;
        before = now;
    }
    *place = run;
    return is_free(t, run, end) ? 1 : full;
}

/* The characters of a line and its words, [first, last); returns the ends of sentences. */
static int64_t count_characters(Text *t, Py_ssize_t start, Py_ssize_t end, Py_ssize_t first, Py_ssize_t last) {
    Tally c = {.power = 1};
    int64_t ends = 0;
    Py_ssize_t place = start, counted = start;
    for (Py_ssize_t word = first; word <= last; word++) {
        for (Py_ssize_t stop = word < last ? t->starts[word] : end; place < stop; place++) {
            uint32_t bits = t->traits[t->points[place]];
            count_character(t, &c, t->points[place], bits);
            if (place < counted) continue;
            if (bits & (TERMINAL | ELLIPSIS)) counted = place, ends += count_ends(t, &counted, end);
            else if (bits & STAND_IN) {
                Py_ssize_t length = stand_in(t, start, place, end);
                ends += length && is_free(t, place + length, end);
                counted = place + (length ? length : 1);
            }
        }
        if (word < last) count_word(t, &c, word), place = t->ends[word];
    }
    t->scripts[c.script] += c.run;
    t->line_hashes[t->lines] = finished(c.sum);
    const int64_t counts[] = {c.uppers, c.cased, c.digits, c.punctuations, c.symbols, c.curly, c.hashes};
    for (int k = 0; k < 7; k++) t->found[UPPERS + k] += counts[k];
    t->found[VISIBLE] += c.visible;
    return ends;
}

static int is_ellipsis(const Text *t, Py_ssize_t start, Py_ssize_t end) {
    const uint32_t *p = t->points + end;
    return t->traits[p[-1]] & ELLIPSIS || (end - start >= 3 && p[-1] == '.' && p[-2] == '.' && p[-3] == '.');
}

static int is_ended(const Text *t, Py_ssize_t start, Py_ssize_t end) {
    while (end > start && t->traits[t->points[end - 1]] & CLOSER) end--;
    if (end == start) return 0;
    return (t->traits[t->points[end - 1]] & TERMINAL) != 0 || stand_in(t, start, end - 1, end) == 1 ||
           stand_in(t, start, end - 2, end) == 2;
}

/* A line without the white space around it; its words are [first, last). */
static void count_line(Text *t, Py_ssize_t start, Py_ssize_t end, Py_ssize_t first, Py_ssize_t last) {
    int64_t *found = t->found, length = end - start, longest = 0;
    int64_t ends = count_characters(t, start, end, first, last);
    uint64_t kinds = 0;
    for (Py_ssize_t word = first; word < last; word++) {
        kinds |= phrases_at(t, word, last);
        if (t->ends[word] - t->starts[word] > longest) longest = t->ends[word] - t->starts[word];
    }
    int cut = is_ellipsis(t, start, end), ended = !cut && is_ended(t, start, end);
    uint32_t opens = t->traits[t->points[start]];
    int spaced = length > 1 && t->points[start + 1] == ' ';
    found[LINE_CHARACTERS] += length;
    found[SENTENCES] += ends;
    found[BULLETS] += opens & BULLET || (opens & DASH && spaced);
    found[CUT] += cut;
    found[ENDED] += ended;
    found[SHORT] += length <= SHORT_LINE;
    found[LONG] += length >= LONG_LINE;
    found[PLACEHOLDER] |= (int64_t)(kinds & 1);
    if (kinds & 2) found[POLICY] += length;
    if (ended && last - first >= PROSE_WORDS && longest <= LONG_WORD && !(kinds & 2)) {
        found[PROSE]++;
        found[PROSE_SENTENCES] += ends;
    }
    uint64_t *paragraph = t->paragraph_hashes + t->paragraphs - 1;
    *paragraph = (*paragraph + t->line_hashes[t->lines]) * STEP;
    t->paragraph_lengths[t->paragraphs - 1] += (uint32_t)length;
    t->line_lengths[t->lines++] = (uint32_t)length;
}

static void count_lines(Text *t) {
    Py_ssize_t word = 0;
    int fresh = 1;
    for (Py_ssize_t start = 0; start < t->count;) {
        Py_ssize_t stop = start;
        while (stop < t->count && t->points[stop] != '\n') stop++;
        t->found[NEWLINES] += stop < t->count;
        Py_ssize_t first = start, end = stop, begin = word;
        while (first < end && t->traits[t->points[first]] & SPACE) first++;
        while (end > first && t->traits[t->points[end - 1]] & SPACE) end--;
        while (word < t->words && t->starts[word] < stop) word++;
        if (first == end) fresh = 1;
        else {
            if (fresh) t->paragraph_hashes[t->paragraphs] = 0, t->paragraph_lengths[t->paragraphs++] = 0;
            fresh = 0;
            count_line(t, first, end, begin, word);
        }
        start = stop + 1;
    }
}

/* --- what repeats --------------------------------------------------------------------------------------------------*/

/* The slot of a key in the table of keys and values, of which mask + 1 are in use; a free one has value 0. */
static inline size_t slot_of(const Text *t, uint64_t key, size_t mask) {
    uint64_t spread = (key ^ key >> 32) * MIX;
    for (size_t slot = (size_t)(spread >> 20) & mask;; slot = (slot + 1) & mask)
        if (!t->values[slot] || t->keys[slot] == key) return slot;
}

static size_t cleared(Text *t, Py_ssize_t entries) {
    size_t size = 16;
    while (size < (size_t)entries * 2) size *= 2;
    memset(t->values, 0, size * sizeof *t->values);
    return size - 1;
}

static void count_repeated(Text *t, const uint64_t *hashes, const uint32_t *lengths, Py_ssize_t count, int kind) {
    size_t mask = cleared(t, count);
    for (Py_ssize_t place = 0; place < count; place++) {
        size_t slot = slot_of(t, hashes[place], mask);
        if (t->values[slot]) t->found[kind]++, t->found[kind + 1] += lengths[place];
        t->keys[slot] = hashes[place];
        t->values[slot] = 1;
    }
}

/* One level up: which runs of `size` words occur twice, given those of size - 1, whose `count` places stand in
   t->twice. A run is told by the first places of its two parts, so that nothing but words is told by a hash. Returns the
   number of places left. */
static Py_ssize_t go_up(Text *t, Py_ssize_t size, Py_ssize_t count, int64_t *most, int64_t *longest,
                        const int64_t *before) {
    uint32_t *places = t->twice;
    Py_ssize_t candidates = 0, left = 0;
    for (Py_ssize_t k = 0; k < count; k++)
        if (size == 1 || (k + 1 < count && places[k + 1] == places[k] + 1)) places[candidates++] = places[k];
    size_t mask = cleared(t, candidates);
    uint32_t *counts = t->values + mask + 1;
    for (Py_ssize_t k = 0; k < candidates; k++) {
        uint32_t place = places[k];
        uint64_t key = size == 1 ? t->word_hashes[place] : (uint64_t)t->ids[place] << 32 | t->ids[place + 1];
        size_t slot = slot_of(t, key, mask);
        if (!t->values[slot]) t->keys[slot] = key, t->values[slot] = place + 1, counts[place] = 0;
        t->ids[place] = t->values[slot] - 1;
        counts[t->ids[place]]++;
    }
    *most = *longest = 0;
    for (Py_ssize_t k = 0; k < candidates; k++) {
        uint32_t place = places[k];
        int64_t times = counts[t->ids[place]], length = before[place + size] - before[place];
        if (size == 1) t->found[DISTINCT_WORDS] += t->ids[place] == place;
        if (times < 2) continue;
        places[left++] = place;
        if (times > *most) *most = times, *longest = 0;
        if (times == *most && length > *longest) *longest = length;
    }
    return left;
}

/* Words in scripts without spaces are signs: so many make a word of speech. */
static Py_ssize_t signs_per_word(const Text *t) {
    if (t->unspaced * 2 <= t->words) return 1;
    return t->dense * 2 >= t->unspaced ? 2 : 4;
}

/* before: the characters of words before each word, words + 1 numbers. */
static void count_runs(Text *t, int64_t *before) {
    Py_ssize_t signs = signs_per_word(t);
    int64_t total = t->found[WORD_CHARACTERS], most, longest;
    Py_ssize_t left = t->words;
    before[0] = 0;
    for (Py_ssize_t word = 0; word < t->words; word++) {
        before[word + 1] = before[word] + t->ends[word] - t->starts[word];
        t->twice[word] = (uint32_t)word;
    }
    for (Py_ssize_t size = 1; size <= 10 * signs && left; size++) {
        left = go_up(t, size, left, &most, &longest, before);
        Py_ssize_t n = size / signs;
        if (size % signs || n < 2) continue;
        if (n <= 4) {
            t->found[TOP_2 + n - 2] = most * longest < total ? most * longest : total;
            continue;
        }
        Py_ssize_t covered = 0;
        for (Py_ssize_t k = 0; k < left; k++) {
            Py_ssize_t place = t->twice[k], from = place > covered ? place : covered;
            t->found[REPEATED_5 + n - 5] += before[place + size] - before[from];
            covered = place + size;
        }
    }
}

/* A greedy parse into code points and references to four or more that stand together above. */
static void count_compressed(Text *t) {
    uint64_t quad = 0;
    int64_t cost = 0;
    memset(t->values, 0, SEEN * sizeof *t->values);
    for (Py_ssize_t place = 0, known = 0; place < t->count;) {
        Py_ssize_t length = 0;
        if (place + QUAD <= t->count) {
            while (known < place + QUAD) quad = quad << 16 | (t->points[known++] & 0xFFFF);
            uint32_t *slot = t->values + (quad * MIX >> 52);
            Py_ssize_t earlier = (Py_ssize_t)*slot - 1;
            if (earlier >= 0)
                while (place + length < t->count && t->points[earlier + length] == t->points[place + length]) length++;
            *slot = (uint32_t)place + 1;
        }
        cost += length >= QUAD ? REFERENCE : 1;
        place += length >= QUAD ? length : 1;
        if (known < place) known = place;
    }
    t->found[COMPRESSED] = cost;
}

/* --- the module ------------------------------------------------------------------------------------------------------*/

static void count_all(Text *t, int64_t *before) {
    t->found[WORDS] = t->words = find_spans(t->classes, t->points, t->count, t->starts, t->ends);
    count_lines(t);
    t->found[LINES] = t->lines;
    t->found[PARAGRAPHS] = t->paragraphs;
    for (uint64_t seen = t->stops_seen; seen; seen &= seen - 1) t->found[STOP_WORDS]++;
    for (int script = 1; script < 256; script++) {
        t->found[LETTERS] += t->scripts[script];
        if (t->scripts[script] > t->found[MAIN_LETTERS]) t->found[MAIN_LETTERS] = t->scripts[script];
    }
    count_repeated(t, t->line_hashes, t->line_lengths, t->lines, REPEATED_LINES);
    count_repeated(t, t->paragraph_hashes, t->paragraph_lengths, t->paragraphs, REPEATED_PARAGRAPHS);
    count_runs(t, before);
    count_compressed(t);
}

/* One block of memory for all arrays, by the number of code points; NULL where there is none. */
static uint8_t *laid_out(Text *t, int64_t **before) {
    size_t n = (size_t)t->count + 1, slots = SEEN;
    while (slots < 2 * n) slots *= 2;
    uint8_t *memory = malloc(n * (6 * 8 + 5 * 4) + slots * 12);
    if (!memory) return NULL;
    t->starts = (int64_t *)memory;
    t->ends = t->starts + n;
    *before = t->ends + n;
    t->word_hashes = (uint64_t *)(*before + n);
    t->line_hashes = t->word_hashes + n;
    t->paragraph_hashes = t->line_hashes + n;
    t->keys = t->paragraph_hashes + n;
    t->values = (uint32_t *)(t->keys + slots);
    t->ids = t->values + slots + n;
    t->line_lengths = t->ids + n;
    t->paragraph_lengths = t->line_lengths + n;
    t->twice = t->paragraph_lengths + n;
    return memory;
}

/* A table that can be looked up: a power of two of pairs, one of them free at least. */
static int is_table(const Py_buffer *buffer, Table *table) {
    Py_ssize_t pairs = items(buffer, 16), used = 0;
    if (pairs < 0) return 0;
    table->slots = buffer->buf;
    table->mask = pairs - 1;
    for (Py_ssize_t k = 0; k < pairs; k++) used += table->slots[2 * k + 1] != 0;
    if (pairs && !(pairs & (pairs - 1)) && used < pairs) return 1;
    PyErr_SetString(PyExc_ValueError, "no hash table");
    return 0;
}

static PyObject *measured(Text *t) {
    int64_t *before;
    uint8_t *memory = laid_out(t, &before);
    if (!memory) return PyErr_NoMemory();
    count_all(t, before);
    PyObject *result = Py_BuildValue("y#y#y#", (char *)t->found, (Py_ssize_t)sizeof t->found, (char *)t->line_hashes,
                                     t->lines * 8, (char *)t->word_hashes, t->words * 8);
    free(memory);
    return result;
}

static PyObject *measure(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer points, classes, traits, lower, stops, firsts, phrases;
    PyObject *result = NULL;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*y*", &points, &classes, &traits, &lower, &stops, &firsts, &phrases))
        return NULL;
    Text text = {.points = points.buf, .classes = classes.buf, .traits = traits.buf, .lower = lower.buf,
                 .phrases = phrases.buf};
    text.count = items(&points, 4);
    text.lowered = items(&lower, 4);
    text.phrases_count = items(&phrases, 8);
    if (text.count >= 0 && text.lowered >= 0 && text.phrases_count >= 0 && has(&classes, CODE_POINTS, "classes") &&
        has(&traits, CODE_POINTS * 4, "traits") && is_table(&stops, &text.stops) && is_table(&firsts, &text.firsts) &&
        in_range(text.points, text.count))
        result = measured(&text);
    Py_buffer *all[] = {&points, &classes, &traits, &lower, &stops, &firsts, &phrases};
    for (int k = 0; k < 7; k++) PyBuffer_Release(all[k]);
    return result;
}

static PyMethodDef functions[] = {
    {"measure", measure, METH_VARARGS,
     "(points, classes, traits, lower, stops, firsts, phrases) -> counts: int64, line hashes, word hashes: uint64"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_signals", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__signals(void) { return PyModule_Create(&module); }
