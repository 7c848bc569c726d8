/* block_features.features: what a model sees of each block of a page, whole numbers and their ratios only; and
   block_features.score: what trees say of each block, without a table of all of them; main_text.choose. */

#include <math.h>

#include "native.h"
#include "tree.h"

enum { CHARACTERS, TOKENS, DIGITS, SIGNS, COMMAS, ENDS, UPPER, LINKED, LINKS, COUNTED,
       ONE = COUNTED, LONG, GOOD, IN_P, IN_LI, IN_CELL, IN_HEAD, SUMMED };
/* Columns of what is counted in a block and summed over the blocks inside a node. */

enum { PATHS = 3, LEVELS = 5, LONG_TOKENS = 20, MAX_TITLE = 64, MAX_SCORED = 60, TEXT_BUCKETS = 1 << 15,
       NODE_COLUMNS = 2 * PATHS + 14, GRAM = 3, MAX_TAGS = 64, MAX_UP = 255 };

/* The page, as blocks.Tree has it, and what is computed of it. */
typedef struct {
    const Node *node;
    const Block *block;
    const int32_t *words, *starts;
    const uint32_t *tokens, *told[3];
    Py_ssize_t nodes, blocks, kinds, word_count, token_count, told_count[3], types;
    const int16_t *weights, *text_weights;
    const int32_t *tags;  /* what tags mean: h1, article, main, the counted ones, then the group of each tag */
    Py_ssize_t counted;
    int64_t *total;       /* (blocks + 1, SUMMED): sums over the blocks before */
    int64_t *scores;      /* (kinds, PATHS + types) */
    int64_t *alike, *siblings;
    double *rows;         /* (nodes, NODE_COLUMNS) */
    double *text;         /* (blocks,) scores of the words */
    double *cover[2];     /* (blocks,) shares of words that the page tells elsewhere */
    int32_t *repeats, *heading;
    double page_cover[2];
    int64_t grams[2];
    void *scratch;
    float *shared;        /* the columns that all blocks of the page have in common */
    Py_ssize_t common, h1;
    int32_t best[2];
} Page;

static double ratio(int64_t part, int64_t whole) { return (double)part / (double)(whole > 1 ? whole : 1); }

static int64_t inside(const Page *page, int32_t node, int column) {
    return page->total[(Py_ssize_t)page->node[node].last * SUMMED + column] -
           page->total[(Py_ssize_t)page->node[node].first * SUMMED + column];
}

static const int64_t *all(const Page *page) { return page->total + page->blocks * SUMMED; }

static const int32_t *counts_of(const Page *page, Py_ssize_t block) { return &page->block[block].characters; }

static int32_t group_of(const Page *page, int32_t tag) { return page->tags[3 + page->counted + tag]; }

static void sum_up(Page *page) {
    memset(page->total, 0, SUMMED * sizeof *page->total);
    for (Py_ssize_t block = 0; block < page->blocks; block++) {
        int64_t *before = page->total + block * SUMMED, *after = before + SUMMED;
        const int32_t *own = counts_of(page, block);
        memcpy(after, before, SUMMED * sizeof *after);
        for (int k = 0; k < COUNTED; k++) after[k] += own[k];
        int32_t tokens = own[TOKENS], group = group_of(page, page->node[page->block[block].owner].tag);
        after[ONE]++;
        after[LONG] += tokens >= LONG_TOKENS;
        if (tokens >= LONG_TOKENS / 2 && 3 * (int64_t)own[LINKED] < own[CHARACTERS]) after[GOOD] += tokens;
        if (group) after[ONE + 2 + group] += tokens;
    }
}

static int64_t own_count(const Page *page, Py_ssize_t block, int column) {
    return page->total[(block + 1) * SUMMED + column] - page->total[block * SUMMED + column];
}

/* --- nodes ------------------------------------------------------------------------------------------------------------ */

static void score_kinds(Page *page) {
    Py_ssize_t columns = PATHS + page->types;
    memset(page->scores, 0, (size_t)(page->kinds * columns) * sizeof *page->scores);
    for (Py_ssize_t kind = 1; kind < page->kinds; kind++) {
        Py_ssize_t stop = kind + 1 < page->kinds ? page->starts[kind + 1] : page->word_count;
        for (Py_ssize_t word = page->starts[kind]; word < stop; word++)
            for (Py_ssize_t k = 0; k < columns; k++)
                page->scores[kind * columns + k] += page->weights[page->words[word] * columns + k];
    }
}

/* How many children of a node's parent are of the node's kind, by a table of (parent, kind). */
static void count_siblings(Page *page) {
    size_t room = 64;
    while (room < (size_t)page->nodes * 2) room *= 2;
    int32_t *slots = page->scratch;
    memset(slots, -1, room * sizeof *slots);
    for (Py_ssize_t number = 0; number < page->nodes; number++) {
        const Node *node = page->node + number;
        uint64_t key = ((uint64_t)(uint32_t)node->parent << 32 | (uint32_t)node->kind) * 0x9E3779B97F4A7C15ull;
        size_t at = (size_t)(key >> 32) & (room - 1);
        while (slots[at] >= 0 && (page->node[slots[at]].parent != node->parent || page->node[slots[at]].kind != node->kind))
            at = (at + 1) & (room - 1);
        if (slots[at] < 0) {
            slots[at] = (int32_t)number;
            page->siblings[number] = 0;
        }
        page->siblings[slots[at]]++;
        ((int32_t *)page->scratch)[room + (size_t)number] = slots[at];
    }
    for (Py_ssize_t number = page->nodes; number-- > 0;)
        page->siblings[number] = page->siblings[((int32_t *)page->scratch)[room + (size_t)number]];
}

static void describe_nodes(Page *page) {
    Py_ssize_t columns = PATHS + page->types;
    int64_t *alike = page->alike, *alike_tokens = alike + page->kinds, *alike_good = alike_tokens + page->kinds;
    memset(alike, 0, (size_t)page->kinds * 3 * sizeof *alike);
    for (int32_t node = 0; node < page->nodes; node++) {
        int32_t kind = page->node[node].kind;
        alike[kind]++;
        alike_tokens[kind] += inside(page, node, TOKENS);
        alike_good[kind] += inside(page, node, GOOD);
    }
    count_siblings(page);
    for (int32_t number = 0; number < page->nodes; number++) {
        const Node *node = page->node + number;
        double *row = page->rows + (Py_ssize_t)number * NODE_COLUMNS, *above = page->rows + (Py_ssize_t)node->parent * NODE_COLUMNS;
        int64_t tokens = inside(page, number, TOKENS), ones = inside(page, number, ONE);
        for (int k = 0; k < PATHS; k++) {
            double own = (double)page->scores[node->kind * columns + k];
            row[k] = own + (number ? above[k] : 0);
            row[PATHS + 1 + k] = own;
        }
        row[PATHS] = number ? above[PATHS] + 1 : 0;
        double *to = row + 2 * PATHS + 1;
        *to++ = node->tag;
        *to++ = (double)tokens;
        *to++ = (double)ones;
        *to++ = ratio(tokens, ones);
        *to++ = ratio(inside(page, number, LINKED), inside(page, number, CHARACTERS));
        *to++ = ratio(inside(page, number, GOOD), tokens);
        *to++ = (double)inside(page, number, LONG);
        *to++ = ratio(tokens, inside(page, 0, TOKENS));
        *to++ = ratio(inside(page, number, COMMAS) + inside(page, number, ENDS), tokens);
        *to++ = (double)page->siblings[number];
        *to++ = (double)alike[node->kind];
        *to++ = ratio(alike_tokens[node->kind], alike[node->kind]);
        *to++ = ratio(alike_good[node->kind], alike_tokens[node->kind]);
    }
}

/* --- words ------------------------------------------------------------------------------------------------------------ */

static uint64_t gram_at(const uint32_t *words) {
    uint64_t key = 0;
    for (int k = 0; k < GRAM; k++) {
        if (!words[k]) return 0;
        key = (key ^ words[k]) * 0x9E3779B97F4A7C15ull;
        key ^= key >> 29;
    }
    return key | 1;
}

/* The share of each block's words that lie in runs of GRAM words which the page tells elsewhere, too. */
static void find_told(Page *page, int which) {
    const uint32_t *told = page->told[which + 1];
    Py_ssize_t count = page->told_count[which + 1];
    size_t room = 64;
    while (room < (size_t)count * 2) room *= 2;
    uint64_t *slots = page->scratch;
    memset(slots, 0, room * sizeof *slots);
    page->grams[which] = 0;
    for (Py_ssize_t at = 0; at + GRAM <= count; at++) {
        uint64_t key = gram_at(told + at);
        if (!key) continue;
        size_t slot = (size_t)(key >> 20) & (room - 1);
        while (slots[slot] && slots[slot] != key) slot = (slot + 1) & (room - 1);
        page->grams[which] += !slots[slot];
        slots[slot] = key;
    }
    Py_ssize_t block = 0, left = 0, covered_until = 0;
    int64_t covered = 0, covered_all = 0;  // what is computed starts as zeros: so do the shares of blocks without words
    for (Py_ssize_t at = 0; at < page->token_count; at++) {
        for (; !left; covered = 0)
            if (!(left = counts_of(page, block)[TOKENS])) block++;
        if (page->grams[which] && at + GRAM <= page->token_count) {
            uint64_t key = gram_at(page->tokens + at);
            size_t slot = (size_t)(key >> 20) & (room - 1);
            while (key && slots[slot] && slots[slot] != key) slot = (slot + 1) & (room - 1);
            if (key && slots[slot]) covered_until = at + GRAM;
        }
        covered += at < covered_until;
        covered_all += at < covered_until;
        if (!--left) {
            page->cover[which][block] = ratio(covered, counts_of(page, block)[TOKENS]);
            block++;
        }
    }
    page->page_cover[which] = ratio(covered_all, page->token_count);
}

/* For each block: the score of its words, the last heading, how many blocks say the same. */
static void read_words(Page *page) {
    size_t room = 64;
    while (room < (size_t)page->blocks * 2) room *= 2;
    struct Slot {
        uint64_t key;
        int32_t count, unused;
    } *slots = page->scratch;
    memset(slots, 0, room * sizeof *slots);
    const uint32_t *words = page->tokens;
    int32_t heading = -1;
    for (Py_ssize_t block = 0; block < page->blocks; block++) {
        int32_t count = counts_of(page, block)[TOKENS], scored = count < MAX_SCORED ? count : MAX_SCORED;
        int64_t sum = 0;
        uint64_t key = (uint64_t)counts_of(page, block)[CHARACTERS] + 1;
        for (int32_t k = 0; k < count; k++) {
            key = (key ^ words[k]) * 0x9E3779B97F4A7C15ull;
            key ^= key >> 29;
            if (k < scored) sum += page->text_weights[(words[k] ^ words[k] >> 15) & (TEXT_BUCKETS - 1)];
        }
        words += count;
        page->text[block] = (double)sum / sqrt((double)(scored > 1 ? scored : 1));
        if (group_of(page, page->node[page->block[block].owner].tag) == 4) heading = (int32_t)block;
        page->heading[block] = heading;
        size_t slot = (size_t)(key >> 20) & (room - 1);
        while (slots[slot].count && slots[slot].key != key) slot = (slot + 1) & (room - 1);
        slots[slot].key = key;
        slots[slot].count++;
        page->repeats[block] = (int32_t)slot;
    }
    for (Py_ssize_t block = 0; block < page->blocks; block++) page->repeats[block] = slots[page->repeats[block]].count;
}

/* The share of a block's words that the title has, and of the title's words that the block has. */
static void compare_title(const Page *page, const uint32_t *words, int32_t count, double *own, double *titles) {
    uint64_t seen[MAX_TITLE] = {0}, known[16] = {0};
    const uint32_t *title = page->told[0];
    Py_ssize_t size = page->told_count[0] < MAX_TITLE ? page->told_count[0] : MAX_TITLE, distinct = 0;
    uint32_t of_title[MAX_TITLE];
    for (Py_ssize_t k = 0; k < size; k++) {
        Py_ssize_t at = 0;
        while (at < distinct && of_title[at] != title[k]) at++;
        if (!title[k] || at < distinct) continue;
        of_title[distinct++] = title[k];
        known[title[k] >> 6 & 15] |= 1ull << (title[k] & 63);
    }
    int64_t hits = 0, met = 0;
    for (int32_t k = 0; k < count; k++) {
        if (!(known[words[k] >> 6 & 15] >> (words[k] & 63) & 1)) continue;
        for (Py_ssize_t at = 0; at < distinct; at++)
            if (of_title[at] == words[k]) {
                hits++;
                met += !seen[at];
                seen[at] = 1;
            }
    }
    *own = ratio(hits, count);
    *titles = ratio(met, distinct);
}

/* --- blocks ----------------------------------------------------------------------------------------------------------- */

static float *put(float *to, double value) {
    *to = (float)value;
    return to + 1;
}

static const double *row_of(const Page *page, Py_ssize_t block) {
    return page->rows + (Py_ssize_t)page->block[block].owner * NODE_COLUMNS;
}

static float *describe_block(const Page *page, Py_ssize_t block, float *to) {
    const int32_t *c = counts_of(page, block);
    const int64_t *before = page->total + block * SUMMED;
    const Node *owner = page->node + page->block[block].owner;
    to = put(to, c[TOKENS]);
    to = put(to, c[CHARACTERS]);
    to = put(to, ratio(c[CHARACTERS], c[TOKENS]));
    to = put(to, ratio(c[LINKED], c[CHARACTERS]));
    to = put(to, c[LINKS]);
    to = put(to, ratio(c[DIGITS], c[CHARACTERS]));
    to = put(to, ratio(c[SIGNS], c[CHARACTERS]));
    to = put(to, ratio(c[COMMAS], c[TOKENS]));
    to = put(to, c[ENDS]);
    to = put(to, ratio(c[UPPER], c[CHARACTERS]));
    to = put(to, page->block[block].ended);
    to = put(to, owner->tag);
    to = put(to, (double)(block - owner->first));
    to = put(to, (double)block);
    to = put(to, (double)(page->blocks - block));
    to = put(to, (double)block / (double)page->blocks);
    to = put(to, (double)before[TOKENS]);
    to = put(to, ratio(before[TOKENS], all(page)[TOKENS]));
    to = put(to, ratio(before[GOOD], all(page)[GOOD]));
    for (int k = 0; k < PATHS; k++) to = put(to, row_of(page, block)[k]);
    return to;
}

/* The two blocks before and after, and sums over windows. */
static float *describe_neighbours(const Page *page, Py_ssize_t block, float *to) {
    static const int STEPS[] = {-2, -1, 1, 2}, REACHES[] = {4, 10};
    for (int k = 0; k < 4; k++) {
        Py_ssize_t other = block + STEPS[k];
        int there = other >= 0 && other < page->blocks;
        const int32_t *c = there ? counts_of(page, other) : NULL;
        to = put(to, there ? c[TOKENS] : 0);
        to = put(to, there ? ratio(c[LINKED], c[CHARACTERS]) : 0);
        to = put(to, there ? page->node[page->block[other].owner].tag : 0);
        for (int path = 0; path < PATHS; path++) to = put(to, there ? row_of(page, other)[path] : 0);
    }
    for (int step = -1; step <= 1; step += 2) {
        Py_ssize_t other = block + step;
        to = put(to, other >= 0 && other < page->blocks && page->block[other].owner == page->block[block].owner);
    }
    for (int k = 0; k < 2; k++) {
        Py_ssize_t low = block > REACHES[k] ? block - REACHES[k] : 0;
        Py_ssize_t high = block + REACHES[k] + 1 < page->blocks ? block + REACHES[k] + 1 : page->blocks;
        const int64_t *from = page->total + low * SUMMED, *until = page->total + high * SUMMED;
        to = put(to, ratio(until[GOOD] - from[GOOD], until[TOKENS] - from[TOKENS]));
        to = put(to, ratio(until[LINKED] - from[LINKED], until[CHARACTERS] - from[CHARACTERS]));
        to = put(to, (double)(until[GOOD] - from[GOOD]));
    }
    return to;
}

static float *describe_words(const Page *page, Py_ssize_t block, const uint32_t *words, float *to) {
    double own, titles;
    int32_t heading = page->heading[block];
    compare_title(page, words, counts_of(page, block)[TOKENS], &own, &titles);
    for (int which = 0; which < 2; which++) {
        to = put(to, page->cover[which][block]);
        to = put(to, page->page_cover[which]);
        to = put(to, (double)page->grams[which]);
    }
    to = put(to, own);
    to = put(to, titles);
    to = put(to, page->repeats[block]);
    to = put(to, page->text[block]);
    to = put(to, heading >= 0 ? page->text[heading] : 0);
    to = put(to, heading >= 0 ? (double)(block - heading) : -1);
    to = put(to, block ? page->text[block - 1] : 0);
    return put(to, block + 1 < page->blocks ? page->text[block + 1] : 0);
}

/* Where a block stands to the container that is `best`: steps up from it until the block is inside; from its borders. */
static float *describe_place(const Page *page, Py_ssize_t block, int32_t best, float *to) {
    int64_t up = 0;
    for (int32_t node = best; node && (block < page->node[node].first || block >= page->node[node].last) && up < MAX_UP;
         up++)
        node = page->node[node].parent;
    to = put(to, (double)up);
    to = put(to, (double)(block - page->node[best].first));
    return put(to, (double)(block - page->node[best].last));
}

/* The node with most good text right below its children, and the one with most good minus other text in all. */
static void find_best(const Page *page, int32_t best[2]) {
    int64_t *below = page->scratch, most = -1, surplus = INT64_MIN;
    memset(below, 0, (size_t)page->nodes * sizeof *below);
    for (Py_ssize_t block = 0; block < page->blocks; block++)
        below[page->node[page->block[block].owner].parent] += own_count(page, block, GOOD);
    for (int32_t node = 0; node < page->nodes; node++) {
        int64_t more = 2 * inside(page, node, GOOD) - inside(page, node, TOKENS);
        if (below[node] > most) most = below[node], best[0] = node;
        if (more > surplus) surplus = more, best[1] = node;
    }
}

/* --- page ------------------------------------------------------------------------------------------------------------- */

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static double most_good(const Page *page, int32_t tag) {
    int64_t most = 0;
    for (int32_t node = 0; node < page->nodes; node++)
        if (page->node[node].tag == tag && inside(page, node, GOOD) > most) most = inside(page, node, GOOD);
    return (double)most / (double)(all(page)[GOOD] > 1 ? all(page)[GOOD] : 1);
}

static float *describe_page(const Page *page, float *to) {
    const int64_t *t = all(page);
    double tokens = t[TOKENS] > 1 ? (double)t[TOKENS] : 1, characters = t[CHARACTERS] > 1 ? (double)t[CHARACTERS] : 1;
    double *sorted = page->scratch, weighted = 0, first = 0;
    int64_t tags[MAX_TAGS] = {0};
    for (Py_ssize_t block = 0; block < page->blocks; block++) sorted[block] = counts_of(page, block)[TOKENS];
    qsort(sorted, (size_t)page->blocks, sizeof *sorted, descending);
    double biggest = sorted[0];
    for (Py_ssize_t block = 0; block < page->blocks && block < 5; block++) first += sorted[block];
    for (Py_ssize_t block = 0; block < page->blocks; block++) {
        sorted[block] = row_of(page, block)[0];
        weighted += sorted[block] * counts_of(page, block)[TOKENS];
    }
    qsort(sorted, (size_t)page->blocks, sizeof *sorted, descending);
    for (Py_ssize_t node = 0; node < page->nodes; node++) tags[page->node[node].tag & (MAX_TAGS - 1)]++;
    to = put(to, tokens);
    to = put(to, (double)page->blocks);
    to = put(to, (double)page->nodes);
    to = put(to, (double)t[LINKED] / characters);
    static const int PARTS[] = {IN_P, IN_LI, IN_CELL, IN_HEAD, GOOD};
    for (int k = 0; k < 5; k++) to = put(to, (double)t[PARTS[k]] / tokens);
    to = put(to, (double)t[LONG]);
    to = put(to, (double)t[LONG] / (double)page->blocks);
    to = put(to, (double)(t[COMMAS] + t[ENDS]) / tokens);
    to = put(to, (double)t[DIGITS] / characters);
    to = put(to, biggest / tokens);
    to = put(to, first / tokens);
    to = put(to, tokens / (double)page->blocks);
    to = put(to, (sorted[(page->blocks - 1) / 2] + sorted[page->blocks / 2]) / 2);
    to = put(to, sorted[0]);
    to = put(to, weighted / tokens);
    to = put(to, (double)page->kinds);
    for (Py_ssize_t k = 0; k < page->counted; k++) to = put(to, (double)tags[page->tags[3 + k]]);
    to = put(to, most_good(page, page->tags[1]));
    to = put(to, most_good(page, page->tags[2]));
    for (Py_ssize_t type = 0; type < page->types; type++) {
        int64_t sum = 0;
        for (Py_ssize_t kind = 0; kind < page->kinds; kind++) sum += page->scores[kind * (PATHS + page->types) + PATHS + type];
        to = put(to, (double)sum);
    }
    return to;
}

static Py_ssize_t columns_of(const Page *page) {
    return 19 + PATHS + 4 * (3 + PATHS) + 2 + 6 + LEVELS * NODE_COLUMNS + 7 + 14 + 22 + page->counted + page->types;
}

/* All but the rows themselves. */
static void prepare(Page *page) {
    sum_up(page);
    score_kinds(page);
    describe_nodes(page);
    for (int which = 0; which < 2; which++) find_told(page, which);
    read_words(page);
    find_best(page, page->best);
    page->h1 = -1;
    for (Py_ssize_t block = page->blocks; block-- > 0;)
        if (page->node[page->block[block].owner].tag == page->tags[0]) page->h1 = block;
    page->common = describe_page(page, page->shared) - page->shared;
}

/* The row of a block, and where the words of the next one begin. Rows are made in their order. */
static const uint32_t *describe_row(const Page *page, Py_ssize_t block, const uint32_t *words, float *to) {
    to = describe_block(page, block, to);
    to = describe_neighbours(page, block, to);
    int32_t node = page->block[block].owner;
    for (int level = 0; level < LEVELS; level++, node = page->node[node].parent)
        for (int k = 0; k < NODE_COLUMNS; k++) to = put(to, page->rows[(Py_ssize_t)node * NODE_COLUMNS + k]);
    for (int k = 0; k < 2; k++) to = describe_place(page, block, page->best[k], to);
    to = put(to, page->h1 >= 0 ? (double)(block - page->h1) : -9999);
    to = describe_words(page, block, words, to);
    memcpy(to, page->shared, (size_t)page->common * sizeof *to);
    return words + counts_of(page, block)[TOKENS];
}

/* --- trees ------------------------------------------------------------------------------------------------------------ */

enum { AT_ONCE = 16 };
/* Blocks that go down a tree side by side: their look-ups do not wait for each other. */

/* feature, threshold: the inner nodes of each tree by level; leaf: (trees, 1 << depth). A block goes right where its
   feature is larger. */
static void score_rows(const float *table, Py_ssize_t columns, Py_ssize_t rows, const int32_t *feature,
                       const float *threshold, const int32_t *leaf, Py_ssize_t trees, int depth, int64_t *scores) {
    Py_ssize_t inner = ((Py_ssize_t)1 << depth) - 1;
    for (Py_ssize_t tree = 0; tree < trees; tree++, feature += inner, threshold += inner, leaf += inner + 1) {
        uint32_t node[AT_ONCE] = {0};
        for (int level = 0; level < depth; level++)
            for (Py_ssize_t row = 0; row < rows; row++) {
                uint32_t at = node[row];
                node[row] = 2 * at + 1 + (table[row * columns + feature[at]] > threshold[at]);
            }
        for (Py_ssize_t row = 0; row < rows; row++) scores[row] += leaf[node[row] - inner];
    }
}

/* --- Python ------------------------------------------------------------------------------------------------------------ */

/* Whether all numbers of a tree point to where something is. */
static int is_sound(const Page *page, Py_ssize_t buckets) {
    int64_t tokens = 0;
    int sound = page->nodes > 0 && page->kinds > 0 && page->starts[0] == 0;
    for (Py_ssize_t k = 0; sound && k < page->nodes; k++) {
        const Node *node = page->node + k;
        sound = node->parent >= 0 && node->parent < k + !k && node->kind >= 0 && node->kind < page->kinds &&
                node->tag >= 0 && node->tag < MAX_TAGS && 0 <= node->first && node->first <= node->last &&
                node->last <= page->blocks;
    }
    for (Py_ssize_t k = 0; sound && k < page->blocks; k++) {
        sound = page->block[k].owner >= 0 && page->block[k].owner < page->nodes && page->block[k].tokens >= 0;
        tokens += page->block[k].tokens;
    }
    for (Py_ssize_t k = 0; sound && k < page->kinds; k++)
        sound = page->starts[k] <= (k + 1 < page->kinds ? page->starts[k + 1] : page->word_count);
    for (Py_ssize_t k = 0; sound && k < page->word_count; k++) sound = page->words[k] >= 0 && page->words[k] < buckets;
    if (!sound || tokens != page->token_count) return PyErr_SetString(PyExc_ValueError, "no sound tree"), 0;
    return 1;
}

/* All that is computed in between lies in one piece of memory. */
static void *make_room(Page *page) {
    size_t nodes = (size_t)page->nodes, blocks = (size_t)page->blocks, kinds = (size_t)page->kinds, told = 0;
    for (int k = 0; k < 3; k++) told = (size_t)page->told_count[k] > told ? (size_t)page->told_count[k] : told;
    size_t sizes[] = {(blocks + 1) * SUMMED * 8, kinds * (size_t)(PATHS + page->types) * 8, kinds * 24, nodes * 8,
                      nodes * NODE_COLUMNS * 8,  blocks * 8,  blocks * 8,  blocks * 8,
                      blocks * 8,                nodes * 24 + blocks * 64 + told * 32 + 4096,
                      (size_t)columns_of(page) * 8};
    void **places[] = {(void **)&page->total, (void **)&page->scores, (void **)&page->alike, (void **)&page->siblings,
                       (void **)&page->rows, (void **)&page->text, (void **)&page->cover[0], (void **)&page->cover[1],
                       (void **)&page->repeats, &page->scratch, (void **)&page->shared};
    size_t all_of_it = 0;
    for (int k = 0; k < 11; k++) all_of_it += sizes[k];
    char *room = calloc(1, all_of_it), *at = room;
    for (int k = 0; room && k < 11; at += sizes[k++]) *places[k] = at;
    page->heading = page->repeats + blocks;
    return room;
}

enum { BUFFERS = 11 };

/* The page from its buffers: nodes, blocks, words, starts, tokens, by_title, by_json, by_description, weights, text weights,
   tags. Returns the room that its numbers take; NULL and an exception where they fit no page. */
static void *read_page(Page *page, const Py_buffer *b) {
    static const size_t SIZES[BUFFERS] = {sizeof(Node), sizeof(Block), 4, 4, 4, 4, 4, 4, 2, 2, 4};
    Py_ssize_t counts[BUFFERS], buckets = 1 << 14;
    for (int k = 0; k < BUFFERS; k++)
        if ((counts[k] = items(b + k, SIZES[k])) < 0) return NULL;
    *page = (Page){.node = b[0].buf, .block = b[1].buf, .words = b[2].buf, .starts = b[3].buf, .tokens = b[4].buf,
                   .told = {b[5].buf, b[6].buf, b[7].buf}, .weights = b[8].buf, .text_weights = b[9].buf, .tags = b[10].buf,
                   .nodes = counts[0], .blocks = counts[1], .word_count = counts[2], .kinds = counts[3],
                   .token_count = counts[4], .told_count = {counts[5], counts[6], counts[7]}};
    page->types = counts[8] / buckets - PATHS;
    page->counted = counts[10] - 3 - MAX_TAGS;
    if (page->types < 0 || counts[8] % buckets || counts[9] != TEXT_BUCKETS || page->counted < 0)
        return PyErr_SetString(PyExc_ValueError, "weights or tags of another size"), NULL;
    if (!is_sound(page, buckets)) return NULL;
    void *room = make_room(page);
    if (!room) return PyErr_NoMemory();
    if (page->blocks) prepare(page);
    return room;
}

static void release(Py_buffer *buffers, int count) {
    for (int k = 0; k < count; k++) PyBuffer_Release(buffers + k);
}

static PyObject *features(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer b[BUFFERS];
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*y*y*y*y*y*", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7, b + 8,
                          b + 9, b + 10))
        return NULL;
    Page page;
    void *room = read_page(&page, b);
    PyObject *result = room ? PyBytes_FromStringAndSize(NULL, page.blocks * columns_of(&page) * 4) : NULL;
    float *table = result ? (float *)PyBytes_AsString(result) : NULL;
    const uint32_t *words = page.tokens;
    for (Py_ssize_t block = 0; table && block < page.blocks; block++)
        words = describe_row(&page, block, words, table + block * columns_of(&page));
    free(room);
    release(b, BUFFERS);
    return result;
}

/* The scores of a page's blocks, of AT_ONCE at a time. */
static PyObject *score_page(const Page *page, const Py_buffer *trees, Py_ssize_t count, int depth) {
    Py_ssize_t columns = columns_of(page);
    float *table = malloc((size_t)(AT_ONCE * columns) * sizeof *table);
    PyObject *result = table ? PyBytes_FromStringAndSize(NULL, page->blocks * 8) : PyErr_NoMemory();
    int64_t *scores = result ? (int64_t *)PyBytes_AsString(result) : NULL;
    const uint32_t *words = page->tokens;
    for (Py_ssize_t first = 0; scores && first < page->blocks; first += AT_ONCE) {
        Py_ssize_t rows = page->blocks - first < AT_ONCE ? page->blocks - first : AT_ONCE;
        for (Py_ssize_t row = 0; row < rows; row++)
            words = describe_row(page, first + row, words, table + row * columns);
        memset(scores + first, 0, (size_t)rows * 8);
        score_rows(table, columns, rows, trees[0].buf, trees[1].buf, trees[2].buf, count, depth, scores + first);
    }
    free(table);
    return result;
}

static PyObject *score(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer b[BUFFERS + 3], *trees = b + BUFFERS;
    Py_ssize_t count;
    int depth;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*y*y*y*y*y*y*y*y*y*ni", b, b + 1, b + 2, b + 3, b + 4, b + 5, b + 6, b + 7,
                          b + 8, b + 9, b + 10, trees, trees + 1, trees + 2, &count, &depth))
        return NULL;
    Page page;
    PyObject *result = NULL;
    void *room = read_page(&page, b);
    int sound = room && count >= 0 && count < 1 << 20 && depth > 0 && depth < 16;
    Py_ssize_t inner = sound ? count * (((Py_ssize_t)1 << depth) - 1) : 0;
    sound = sound && trees[0].len == inner * 4 && trees[1].len == inner * 4 && trees[2].len == (inner + count) * 4;
    for (Py_ssize_t k = 0; sound && k < inner; k++)
        sound = ((int32_t *)trees[0].buf)[k] >= 0 && ((int32_t *)trees[0].buf)[k] < columns_of(&page);
    if (sound)
        result = score_page(&page, trees, count, depth);
    else if (room)
        PyErr_SetString(PyExc_ValueError, "trees of another shape");
    free(room);
    release(b, BUFFERS + 3);
    return result;
}

/* --- choice ----------------------------------------------------------------------------------------------------------- */

typedef struct {
    int64_t score;
    Py_ssize_t block;
} Ranked;

/* The best score first, of equal ones the earlier block. */
static int by_score(const void *a, const void *b) {
    const Ranked *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return (x->block > y->block) - (x->block < y->block);
}

/* Fills `ranked` and says how many of the first give the best expected F1, which goes to `expected`. chances: of the log
   odds from -span to span, in parts of `whole`. */
static Py_ssize_t best_cut(Ranked *ranked, Py_ssize_t count, const int64_t *scores, const Block *block,
                           const int64_t *chances, int64_t span, int64_t whole, double *expected) {
    int64_t all = 0, right = 0, size = 0;
    Py_ssize_t best = 0;
    for (Py_ssize_t k = 0; k < count; k++) {
        int64_t score = scores[k] < -span ? -span : scores[k] > span ? span : scores[k];
        all += chances[score + span] * block[k].tokens;
        ranked[k] = (Ranked){scores[k], k};
    }
    qsort(ranked, (size_t)count, sizeof *ranked, by_score);
    *expected = -1;
    for (Py_ssize_t k = 0; k < count; k++) {
        int64_t score = ranked[k].score < -span ? -span : ranked[k].score > span ? span : ranked[k].score;
        int64_t tokens = block[ranked[k].block].tokens;
        right += chances[score + span] * tokens;
        size += tokens;
        int64_t below = size * whole + all;
        double f1 = (double)(2 * right) / (double)(below > 1 ? below : 1);
        if (f1 > *expected) *expected = f1, best = k + 1;
    }
    return best;
}

static PyObject *choose(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer scores, blocks, chances;
    long long whole;
    if (!PyArg_ParseTuple(arguments, "y*y*y*L", &scores, &blocks, &chances, &whole)) return NULL;
    PyObject *result = NULL, *kept = NULL;
    Py_ssize_t count = items(&blocks, sizeof(Block)), odds = items(&chances, 8);
    if (count >= 0 && odds > 0 && odds % 2 && has(&scores, count * 8, "scores")) {
        Ranked *ranked = malloc((size_t)(count + 1) * sizeof *ranked);
        kept = ranked ? PyBytes_FromStringAndSize(NULL, count) : PyErr_NoMemory();
        if (kept) {
            char *keep = PyBytes_AsString(kept);
            double expected;
            Py_ssize_t best = best_cut(ranked, count, scores.buf, blocks.buf, chances.buf, odds / 2, whole, &expected);
            memset(keep, 0, (size_t)count);
            for (Py_ssize_t k = 0; k < best; k++) keep[ranked[k].block] = 1;
            result = Py_BuildValue("Nd", kept, expected);
        }
        free(ranked);
    } else if (!PyErr_Occurred()) {
        PyErr_SetString(PyExc_ValueError, "no odds");
    }
    PyBuffer_Release(&scores);
    PyBuffer_Release(&blocks);
    PyBuffer_Release(&chances);
    return result;
}

static PyMethodDef functions[] = {
    {"features", features, METH_VARARGS,
     "(nodes, blocks, words, starts: int32, tokens, by_title, by_json, by_description: uint32, weights, text weights: "
     "int16, tags: int32) -> (blocks, columns) float32, as bytes"},
    {"score", score, METH_VARARGS,
     "(as features, then feature: int32, threshold: float32, leaf: int32, trees, depth) -> (blocks,) int64, as bytes"},
    {"choose", choose, METH_VARARGS,
     "(scores: int64, blocks, chances: int64, whole) -> (blocks,) bool as bytes: the first ones whose F1 is expected to be "
     "best; that F1"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_block_features", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__block_features(void) { return PyModule_Create(&module); }
