/* blocks.read: HTML -> the blocks of text of a page and the tree they hang in, in one pass.

   Tags, comments, raw text and character references are read as the HTML standard says (13.2.5); the tree follows its
   rules (13.2.6) as far as they move text between blocks: what ends a paragraph, an item, a cell, which end tags count.
   Elements inside a line make no nodes, so nothing of theirs needs repair. Time and memory are linear in the page. */

#include "told.h"
#include "tree.h"

enum { BUCKETS = 1 << 14, MAX_WORDS = 32, MAX_NAMES = 512, MAX_MARK = 64, MAX_SEARCH = 512 };

/* What a name means. Those from BLOCK on make nodes; a tag's number counts from BLOCK. */
enum { INLINE, BREAK, RULE, LINK, META, TITLE, RAW, SKIPPED, IGNORED, BLOCK };

enum {
    UNKNOWN, BODY, DIV, SECTION, ARTICLE, MAIN, HEADER, FOOTER, NAV, ASIDE, P, H1, H2, H3, H4, H5, H6, UL, OL, LI, DL,
    DT, DD, TABLE, THEAD, TBODY, TFOOT, TR, TD, TH, CAPTION, PRE, BLOCKQUOTE, FIGURE, FIGCAPTION, FORM, FIELDSET, BUTTON,
    NOSCRIPT, DETAILS, SUMMARY, ADDRESS, CENTER, HTML, TAGS
};

static const char *const BLOCKS =
    " body div section article main header footer nav aside p h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table thead tbody tfoot "
    "tr td th caption pre blockquote figure figcaption form fieldset button noscript details summary address center html";
static const struct {
    int action;
    const char *names;
} OTHERS[] = {
    {INLINE, "abbr acronym annotation-xml b bdi bdo big cite code data del dfn em font i ins kbd label mark q rp rt rtc "
             "ruby s samp small span strike strong sub sup time tt u nobr picture map meter progress output math mi mo "
             "mn mrow msup msub mfrac msqrt mtext mstyle semantics mover munder mtable mtr mtd object area base basefont "
             "bgsound embed frame img input keygen link param source track wbr var"},
    {BREAK, "br"},
    {RULE, "hr"},
    {LINK, "a"},
    {META, "meta"},
    {TITLE, "title"},
    {RAW, "script style iframe noembed noframes textarea xmp"},
    {SKIPPED, "template svg select datalist audio video canvas annotation"},
    {IGNORED, "head frameset"},
};

#define BIT(tag) (1ull << (tag))
#define HEADINGS (BIT(H1) | BIT(H2) | BIT(H3) | BIT(H4) | BIT(H5) | BIT(H6))
#define CELLS (BIT(TD) | BIT(TH))
#define ROWS (BIT(THEAD) | BIT(TBODY) | BIT(TFOOT))
#define TABLE_PARTS (CELLS | ROWS | BIT(TR) | BIT(CAPTION))
#define IN_TABLE (BIT(TABLE) | ROWS | BIT(TR))
#define SCOPE (CELLS | BIT(TABLE) | BIT(CAPTION))
#define IMPLIED (BIT(P) | BIT(LI) | BIT(DT) | BIT(DD))
/* Elements that do not end an open paragraph. */
#define IN_PARAGRAPH (BIT(UNKNOWN) | BIT(BUTTON) | BIT(NOSCRIPT) | TABLE_PARTS | BIT(BODY) | BIT(HTML))
/* Elements that a picture (svg) cannot hold: they end it. */
#define NEVER_IN_SVG (BIT(DIV) | BIT(P) | HEADINGS | BIT(UL) | BIT(OL) | BIT(LI) | BIT(DL) | BIT(DT) | BIT(DD) | \
                      BIT(TABLE) | BIT(PRE) | BIT(BLOCKQUOTE) | BIT(CENTER) | BIT(BODY))

/* --- names ------------------------------------------------------------------------------------------------------- */

enum { SLOTS = 1024 };
static struct {
    char name[MAX_NAME];
    uint8_t length, action, tag;
} names[SLOTS];

static uint32_t hash(const char *text, Py_ssize_t length) {
    uint32_t value = 2166136261u;
    for (Py_ssize_t k = 0; k < length; k++) value = (value ^ (uint8_t)text[k]) * 16777619u;
    return value ^ value >> 15;
}

static int slot(const char *name, int length) {
    uint32_t at = hash(name, length) % SLOTS;
    while (names[at].length && (names[at].length != length || memcmp(names[at].name, name, (size_t)length)))
        at = (at + 1) % SLOTS;
    return (int)at;
}

static void enter(const char *list, int action) {
    int tag = 0;
    while (*list) {
        int length = (int)strcspn(list, " ");
        int at = slot(list, length);
        if (length) {
            memcpy(names[at].name, list, (size_t)length);
            names[at].length = (uint8_t)length;
            names[at].action = (uint8_t)action;
            names[at].tag = (uint8_t)(action == BLOCK ? tag : UNKNOWN);
        }
        tag++;
        list += length + (list[length] == ' ');
    }
}

static void enter_all(void) {
    enter(BLOCKS, BLOCK);
    for (size_t k = 0; k < sizeof OTHERS / sizeof *OTHERS; k++) enter(OTHERS[k].names, OTHERS[k].action);
}

/* --- what is made ------------------------------------------------------------------------------------------------- */

/* What a page tells of itself, by where it stands. */
enum { BY_TITLE, BY_DESCRIPTION, BY_JSON, TELLERS };

typedef struct {
    Text left;
    References references;
    const uint32_t *characters;
    Words told[TELLERS], own;
    Bytes nodes, blocks, text, words, word_starts, kind_slots, title, stack;
    Py_ssize_t kinds;
    Block block;
    int is_open, gap, in_link, last, pres, forms, body, broken;
} Page;

typedef struct {
    int32_t node, tag;
    uint32_t name;
} Open;

static int fail(Page *page) {
    page->broken = 1;
    return 0;
}

/* --- kinds: nodes that say the same about themselves ---------------------------------------------------------------- */

static void add_word(int32_t *words, int *count, uint32_t value) {
    int32_t word = (int32_t)(value % BUCKETS);
    for (int k = 0; k < *count; k++)
        if (words[k] == word) return;
    if (*count < MAX_WORDS) words[(*count)++] = word;
}

/* The words of a class or id: runs of letters, parted where small letters are followed by a capital. */
static void add_names(int32_t *words, int *count, Value value) {
    char word[MAX_NAME];
    const char *at = value.start, *stop = at + (value.length < MAX_NAMES ? value.length : MAX_NAMES);
    while (at < stop) {
        int length = 0, small = 0;
        while (at < stop && length < MAX_NAME) {
            char c = *at;
            if (!is_letter(c) || (c != lower(c) && small)) break;
            small |= c == lower(c);
            word[length++] = lower(c);
            at++;
        }
        if (length > 1 || small) add_word(words, count, hash(word, length));
        if (!length) at++;
    }
}

static void add_mark(int32_t *words, int *count, Value value) {
    char mark[MAX_MARK + 1] = "=";
    int length = 1;
    for (Py_ssize_t k = 0; k < value.length && length <= MAX_MARK; k++) mark[length++] = lower(value.start[k]);
    if (length > 1) add_word(words, count, hash(mark, length));
}

/* The number of the kind with these words, in a table of slots that doubles as it fills; -1 if memory is out. */
static int32_t find_kind(Page *page, const int32_t *words, int count) {
    size_t room = page->kinds ? page->kind_slots.room / 4 : 0;
    if ((size_t)page->kinds * 2 >= room) {
        size_t more = room ? room * 2 : 256;
        int32_t *slots = malloc(more * 4);
        if (!slots) return fail(page) - 1;
        memset(slots, -1, more * 4);
        const int32_t *starts = (const int32_t *)page->word_starts.data;
        for (int32_t kind = 0; kind < page->kinds; kind++) {
            const char *own = page->words.data + starts[kind] * 4;
            int32_t end = kind + 1 < page->kinds ? starts[kind + 1] : (int32_t)(page->words.used / 4);
            size_t at = hash(own, (end - starts[kind]) * 4) % more;
            while (slots[at] >= 0) at = (at + 1) % more;
            slots[at] = kind;
        }
        free(page->kind_slots.data);
        page->kind_slots.data = (char *)slots;
        page->kind_slots.room = more * 4;
        room = more;
    }
    int32_t *slots = (int32_t *)page->kind_slots.data;
    const int32_t *starts = (const int32_t *)page->word_starts.data;
    size_t at = hash((const char *)words, count * 4) % room;
    for (; slots[at] >= 0; at = (at + 1) % room) {
        int32_t kind = slots[at];
        int32_t end = kind + 1 < page->kinds ? starts[kind + 1] : (int32_t)(page->words.used / 4);
        if (end - starts[kind] == count && !memcmp(page->words.data + starts[kind] * 4, words, (size_t)count * 4))
            return kind;
    }
    int32_t start = (int32_t)(page->words.used / 4);
    if (!append(&page->word_starts, &start, 4) || !append(&page->words, words, (size_t)count * 4)) return fail(page) - 1;
    slots[at] = (int32_t)page->kinds;
    return (int32_t)page->kinds++;
}

/* Whether a style hides: display: none or visibility: hidden. */
static int hides(Value style) {
    static const char *const WAYS[] = {"display:none", "visibility:hidden"};
    for (int way = 0; way < 2; way++) {
        size_t matched = 0, length = strlen(WAYS[way]);
        for (Py_ssize_t k = 0; k < style.length; k++) {
            char c = lower(style.start[k]);
            if (is_space(c)) continue;
            matched = c == WAYS[way][matched] ? matched + 1 : c == WAYS[way][0];
            if (matched == length) return 1;
        }
    }
    return 0;
}

static int32_t kind_of(Page *page, const Tag *tag) {
    int32_t words[MAX_WORDS];
    int count = 0;
    Value hidden = find_attribute(tag, "aria-hidden"), style = find_attribute(tag, "style");
    add_word(words, &count, hash(tag->name, tag->length));
    add_names(words, &count, find_attribute(tag, "class"));
    add_names(words, &count, find_attribute(tag, "id"));
    add_mark(words, &count, find_attribute(tag, "role"));
    add_mark(words, &count, find_attribute(tag, "itemprop"));
    if (find_attribute(tag, "hidden").start || is(hidden.start, hidden.length, "true") || hides(style))
        add_word(words, &count, hash("=hidden", 7));
    return find_kind(page, words, count);
}

/* What <meta> says of the page becomes a kind without nodes. */
static void declare(Page *page, const Tag *tag) {
    static const char *const NAMES[] = {"og:type", "generator", "twitter:card"};
    Value name = find_attribute(tag, "name");
    if (!name.start) name = find_attribute(tag, "property");
    Value content = find_attribute(tag, "content");
    if (is(name.start, name.length, "description") || is(name.start, name.length, "og:description"))
        if (!add_text(&page->told[BY_DESCRIPTION], page->characters, &page->references, content.start, content.start + content.length))
            fail(page);
    for (int which = 0; which < 3; which++) {
        if (!is(name.start, name.length, NAMES[which])) continue;
        int32_t words[MAX_WORDS], own[MAX_WORDS];
        int count = 0, found = 0;
        uint32_t salt = hash(NAMES[which], name.length);
        add_word(words, &count, salt);
        add_names(own, &found, content);
        for (int k = 0; k < found; k++) add_word(words, &count, salt + (uint32_t)own[k] * 31);
        find_kind(page, words, count);
    }
}

/* --- text ----------------------------------------------------------------------------------------------------------- */

static int32_t count_blocks(const Page *page) { return (int32_t)(page->blocks.used / sizeof(Block)); }
static Open *top(const Page *page) { return (Open *)(page->stack.data + page->stack.used) - 1; }
static Node *node_at(const Page *page, int32_t number) { return (Node *)page->nodes.data + number; }

/* Add a character, given its UTF-8, to the block that is open. */
static int put(Page *page, const char *bytes, int size, uint32_t character, int in_link) {
    Block *block = &page->block;
    int begins = add_character(&page->own, character);
    if (begins < 0 || !append(&page->text, bytes, (size_t)size)) return fail(page);
    block->characters++;
    block->tokens += begins;
    block->digits += (character & C_DIGIT) != 0;
    block->signs += (character & C_SIGN) != 0;
    block->commas += (character & C_COMMA) != 0;
    block->ends += (character & C_END) != 0;
    block->upper += (character & C_UPPER) != 0;
    block->linked += in_link;
    page->last = character & 255;
    return 1;
}

/* White space that waits for what follows it; the first sign of it tells whether it is part of a link. */
enum { SPACE_GAP = 1, LINE_GAP = 2, LINK_GAP = 4 };

static void leave_gap(Page *page, int kind) {
    if (page->in_link && !page->gap) page->gap = LINK_GAP;
    page->gap |= kind;
}

static int open_body(Page *page);

/* White space is folded to one space, or one line break where there is a <br>; in <pre> it stays. */
static int put_code_point(Page *page, uint32_t point, const char *bytes, int size) {
    uint32_t character = page->characters[point];
    if (!(character & 255)) {
        if (!page->pres) {
            leave_gap(page, SPACE_GAP);
            return 1;
        }
        if (!page->is_open && point == '\n') return 1;
        if (point == '\r') return 1;
    }
    if (!page->is_open) {
        if (!page->body && !open_body(page)) return 0;
        int32_t links = page->block.links;
        memset(&page->block, 0, sizeof page->block);
        page->block.links = links;
        page->block.start = (int32_t)page->text.used;
        page->is_open = 1;
        page->own.inside = 0;
    } else if (page->gap && !put(page, page->gap & LINE_GAP ? "\n" : " ", 1, 0, page->gap & LINK_GAP && page->in_link)) {
        return 0;
    }
    page->gap = 0;
    return put(page, bytes, size, character, page->in_link);
}

/* Lines without white space at their ends, no empty line at the block's ends. */
static void tidy_pre(Page *page) {
    char *start = page->text.data + page->block.start, *to = start, *stop = page->text.data + page->text.used;
    for (char *from = start; from < stop; from++) {
        if (*from == '\n')
            while (to > start && (to[-1] == ' ' || to[-1] == '\t')) to--;
        *to++ = *from;
    }
    while (to > start && (to[-1] == ' ' || to[-1] == '\t' || to[-1] == '\n')) to--;
    page->text.used = (size_t)(to - page->text.data);
}

/* End the block that is open. */
static int flush(Page *page) {
    if (page->is_open) {
        if (page->pres) tidy_pre(page);
        page->block.owner = top(page)->node;
        page->block.stop = (int32_t)page->text.used;
        page->block.ended = (page->last & C_END) != 0;
        if (page->block.stop > page->block.start && page->block.tokens + page->block.signs &&
            !append(&page->blocks, &page->block, sizeof page->block))
            return fail(page);
        page->is_open = 0;
    }
    page->block.links = 0;
    page->gap = 0;
    return 1;
}

/* Text up to `stop`, references resolved. */
static int read_text(Page *page, const char *stop) {
    while (page->left.at < stop) {
        const char *at = page->left.at;
        uint32_t point;
        if (*at == '&') {
            char value[8];
            int size;
            Py_ssize_t taken = read_reference(&page->references, at, stop, value, &size);
            if (taken) {
                page->left.at += taken;
                for (int k = 0, step; k < size; k += step) {
                    step = decode(value + k, value + size, &point);
                    if (!put_code_point(page, point, value + k, step)) return 0;
                }
                continue;
            }
        }
        int size = decode(at, stop, &point);
        page->left.at += size;
        if (point == 0xfffd && size == 1) {
            if (!put_code_point(page, point, "\xef\xbf\xbd", 3)) return 0;
        } else if (point && !put_code_point(page, point, at, size)) {
            return 0;
        }
    }
    return 1;
}

/* --- tree ------------------------------------------------------------------------------------------------------------- */

static int open_node(Page *page, int tag, int32_t kind, uint32_t name) {
    int32_t blocks = count_blocks(page);
    Node node = {top(page)->node, kind, tag, blocks, blocks};
    Open open = {(int32_t)(page->nodes.used / sizeof node), tag, name};
    if (kind < 0 || !append(&page->nodes, &node, sizeof node) || !append(&page->stack, &open, sizeof open))
        return fail(page);
    page->pres += tag == PRE;
    page->forms += tag == FORM;
    return 1;
}

static int open_plain(Page *page, int tag, const char *name) {
    int32_t word = (int32_t)(hash(name, (Py_ssize_t)strlen(name)) % BUCKETS);
    return open_node(page, tag, find_kind(page, &word, 1), 0);
}

static int open_body(Page *page) {
    page->body = (int)(page->nodes.used / sizeof(Node));
    return open_plain(page, BODY, "body");
}

static void pop(Page *page) {
    page->stack.used -= sizeof(Open);
    Open *gone = (Open *)(page->stack.data + page->stack.used);
    node_at(page, gone->node)->last = count_blocks(page);
    page->pres -= gone->tag == PRE;
    page->forms -= gone->tag == FORM;
    if (BIT(gone->tag) & CELLS) page->in_link = 0;
}

/* How many nodes lie above the innermost open one with one of these tags; -1 if a border or nothing comes first. */
static int find_open(const Page *page, uint64_t tags, uint64_t border) {
    Open *bottom = (Open *)page->stack.data + 1;
    int above = 0;
    for (Open *open = top(page); open > bottom && above < MAX_SEARCH; open--, above++) {
        if (BIT(open->tag) & tags) return above;
        if (BIT(open->tag) & border) return -1;
    }
    return -1;
}

/* End the innermost open node with one of these tags, and those inside; says whether there was one. */
static int end_open(Page *page, uint64_t tags, uint64_t border) {
    int above = find_open(page, tags, border);
    for (int k = 0; k <= above; k++) pop(page);
    return above >= 0;
}

/* An item ends the one before it in its list; a list in between keeps both apart. */
static void close_item(Page *page, uint64_t tags) {
    end_open(page, tags, ~(tags | BIT(UNKNOWN) | BIT(ADDRESS) | BIT(DIV) | BIT(P)));
}

/* Make room for a part of a table, of which there is one open: end what is open up to one of `parents`. */
static void close_to(Page *page, uint64_t parents) {
    while (!(BIT(top(page)->tag) & (parents | BIT(TABLE)))) pop(page);
    page->in_link = 0;
}

static int start_table_part(Page *page, const Tag *tag, int number) {
    close_to(page, BIT(number) & CELLS ? BIT(TR) | ROWS : number == TR ? ROWS : 0);
    if ((BIT(number) & (CELLS | BIT(TR))) && top(page)->tag == TABLE && !open_plain(page, TBODY, "tbody")) return 0;
    if ((BIT(number) & CELLS) && top(page)->tag != TR && !open_plain(page, TR, "tr")) return 0;
    return open_node(page, number, kind_of(page, tag), 0);
}

static int start_block(Page *page, const Tag *tag, int number) {
    if ((BIT(number) & TABLE_PARTS) && find_open(page, BIT(TABLE), 0) < 0) return 1;
    if (number == FORM && (page->forms || (BIT(top(page)->tag) & IN_TABLE))) return 1;
    if (!flush(page)) return 0;
    if (number == HTML) return kind_of(page, tag) >= 0;
    if (number == BODY) {
        if (!page->body) {
            page->body = (int)(page->nodes.used / sizeof(Node));
            return open_node(page, BODY, kind_of(page, tag), 0);
        }
        node_at(page, page->body)->kind = kind_of(page, tag);
        return !page->broken;
    }
    if (!page->body && !open_body(page)) return 0;
    if (BIT(number) & TABLE_PARTS) return start_table_part(page, tag, number);
    if (number == TABLE && (BIT(top(page)->tag) & IN_TABLE)) end_open(page, BIT(TABLE), 0);
    if (number == LI) close_item(page, BIT(LI));
    if (number == DT || number == DD) close_item(page, BIT(DT) | BIT(DD));
    if (!(BIT(number) & IN_PARAGRAPH)) end_open(page, BIT(P), SCOPE | BIT(BUTTON));
    if ((BIT(number) & HEADINGS) && (BIT(top(page)->tag) & HEADINGS)) pop(page);
    if (number == BUTTON) end_open(page, BIT(BUTTON), SCOPE);
    return open_node(page, number, kind_of(page, tag), number ? 0 : hash(tag->name, tag->length));
}

/* How many nodes lie above the innermost open one that an end tag ends; -1 if there is none. */
static int find_ended(const Page *page, const Tag *tag, int number) {
    if (number == UNKNOWN) {
        uint32_t name = hash(tag->name, tag->length);
        int above = 0;
        for (Open *open = top(page); open->tag == UNKNOWN && open->node && above < MAX_SEARCH; open--, above++)
            if (open->name == name) return above;
        return -1;
    }
    if (number == FORM) return find_open(page, BIT(FORM), ~(IMPLIED | BIT(FORM)));
    uint64_t border = number == LI ? SCOPE | BIT(UL) | BIT(OL) : number == P ? SCOPE | BIT(BUTTON) : SCOPE;
    if (BIT(number) & (TABLE_PARTS | BIT(TABLE))) border = BIT(TABLE);
    return find_open(page, BIT(number) & HEADINGS ? HEADINGS : BIT(number), border & ~BIT(number));
}

static int end_block(Page *page, const Tag *tag, int number) {
    if (number == BODY || number == HTML) return page->in_link = 0, flush(page);
    int above = find_ended(page, tag, number);
    if (above < 0 && number != P) return 1;
    if (!flush(page)) return 0;
    for (int k = 0; k <= above; k++) pop(page);
    return 1;
}

/* --- the pass ----------------------------------------------------------------------------------------------------------- */

/* What is inside an element that is no text. */
typedef struct {
    Tag tag;
    int depth, blocks, foreign;
} Skip;

/* Whether a tag inside a skipped element ends that element early, as the tree's rules have it. */
static int breaks_out(const Page *page, const Skip *skip, const Tag *tag, int action, int number) {
    if (is_named(&skip->tag, "select"))
        return !tag->is_end && (is_named(tag, "input") || is_named(tag, "textarea") ||
                                (action == BLOCK && (BIT(number) & (TABLE_PARTS | BIT(TABLE)))));
    if (action != BLOCK || !number) return 0;
    if (!tag->is_end)
        return is_named(&skip->tag, "svg") && !skip->foreign && (BIT(number) & NEVER_IN_SVG);
    return !skip->blocks && find_open(page, BIT(number), SCOPE & ~BIT(number)) >= 0;
}

/* A tag while an element is skipped; says whether it is dealt with. */
static int skip_tag(Page *page, Skip *skip, const Tag *tag, int action, int number) {
    if (tag->length == skip->tag.length && !memcmp(tag->name, skip->tag.name, (size_t)tag->length)) {
        int is_select = is_named(tag, "select");
        if (tag->is_end || is_select)
            skip->depth--;
        else if (!tag->is_empty)
            skip->depth++;
        return 1;
    }
    if (breaks_out(page, skip, tag, action, number)) return skip->depth = 0;
    if (action == BLOCK) skip->blocks += tag->is_end ? -(skip->blocks > 0) : 1;
    if (is_named(tag, "foreignobject")) skip->foreign += tag->is_end ? -(skip->foreign > 0) : 1;
    if (action == RAW && !tag->is_end && !tag->is_empty) page->left.at = end_of_raw(&page->left, tag);
    return 1;
}

static int read_title(Page *page, const Tag *tag) {
    const char *start = page->left.at, *stop = end_of_raw(&page->left, tag);
    page->left.at = stop;
    if (page->title.used) return 1;
    if (!append(&page->title, start, (size_t)(stop - start))) return fail(page);
    return add_text(&page->told[BY_TITLE], page->characters, &page->references, start, stop) || fail(page);
}

static int read_raw(Page *page, const Tag *tag) {
    const char *start = page->left.at, *stop = end_of_raw(&page->left, tag);
    Value type = find_attribute(tag, "type");
    page->left.at = stop;
    if (!is(type.start, type.length, "application/ld+json")) return 1;
    return add_json(&page->told[BY_JSON], page->characters, start, stop) || fail(page);
}

static int take_tag(Page *page, Skip *skip, const Tag *tag) {
    int at = slot(tag->name, tag->length);
    int known = names[at].length != 0, action = known ? names[at].action : BLOCK;
    int number = known ? names[at].tag : UNKNOWN;
    if (skip->depth && skip_tag(page, skip, tag, action, number)) return 1;
    switch (action) {
    case BREAK:
        if (page->pres) return !page->is_open || put(page, "\n", 1, 0, page->in_link);
        return leave_gap(page, LINE_GAP), 1;
    case RULE: return flush(page) && (end_open(page, BIT(P), SCOPE | BIT(BUTTON)), 1);
    case LINK:
        page->in_link = !tag->is_end;
        page->block.links += !tag->is_end;
        return 1;
    case META: return declare(page, tag), !page->broken;
    case TITLE: return tag->is_end || read_title(page, tag);
    case RAW: return tag->is_end || read_raw(page, tag);
    case SKIPPED:
        if (!tag->is_end && !tag->is_empty) *skip = (Skip){*tag, 1, 0, 0};
        return 1;
    case BLOCK: return tag->is_end ? end_block(page, tag, number) : start_block(page, tag, number);
    default: return 1;
    }
}

/* What stands at a '<'. */
static int read_markup(Page *page, Skip *skip) {
    const char *at = page->left.at, *stop = page->left.stop;
    int is_end = at + 1 < stop && at[1] == '/';
    if (at + 1 + is_end < stop && is_letter(at[1 + is_end])) {
        Tag tag;
        page->left.at = at + 1 + is_end;
        if (!read_tag(&page->left, &tag, is_end)) return page->left.at = stop, 1;
        return take_tag(page, skip, &tag);
    }
    if (begins(at, stop, "<!--", 4)) return page->left.at = at + 4, pass_comment(&page->left), 1;
    if (at + 1 < stop && (at[1] == '!' || at[1] == '?' || is_end)) {
        const char *end = memchr(at, '>', (size_t)(stop - at));
        return page->left.at = end ? end + 1 : stop, 1;
    }
    if (skip->depth) return page->left.at++, 1;
    return read_text(page, at + 1);
}

static int read_page(Page *page) {
    Skip skip = {.depth = 0};
    Node root = {0, 0, UNKNOWN, 0, 0};
    Open bottom = {0, UNKNOWN, 0};
    int32_t nothing = 0;
    if (!append(&page->nodes, &root, sizeof root) || !append(&page->stack, &bottom, sizeof bottom)) return fail(page);
    if (find_kind(page, &nothing, 1) < 0) return 0;
    while (page->left.at < page->left.stop) {
        const char *next = memchr(page->left.at, '<', (size_t)(page->left.stop - page->left.at));
        if (!next) next = page->left.stop;
        if (skip.depth)
            page->left.at = next;
        else if (!read_text(page, next))
            return 0;
        if (next < page->left.stop && !read_markup(page, &skip)) return 0;
    }
    if (!flush(page)) return 0;
    while (page->stack.used > sizeof(Open)) pop(page);
    node_at(page, 0)->last = count_blocks(page);
    return 1;
}

/* --- Python -------------------------------------------------------------------------------------------------------------- */

static PyObject *read_blocks(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer data, characters, references, starts;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*", &data, &characters, &references, &starts)) return NULL;
    PyObject *result = NULL;
    Page page = {
        .left = {data.buf, (const char *)data.buf + data.len},
        .references = {references.buf, starts.buf, items(&starts, 4)},
        .characters = characters.buf,
    };
    Bytes *made[] = {&page.nodes, &page.blocks, &page.text, &page.words, &page.word_starts, &page.title,
                     &page.own.hashes, &page.told[0].hashes, &page.told[1].hashes, &page.told[2].hashes};
    enum { MADE = sizeof made / sizeof *made };
    if (data.len > INT32_MAX / 4)
        PyErr_SetString(PyExc_ValueError, "a page of over 512 MiB");
    else if (page.references.count >= 0 && has(&characters, 4 * CODE_POINTS, "characters")) {
        if (read_page(&page)) {
            result = PyTuple_New(MADE);
            for (int k = 0; result && k < MADE; k++) {
                PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)made[k]->used);
                if (!bytes || PyTuple_SetItem(result, k, bytes)) {
                    Py_CLEAR(result);
                    break;
                }
                if (made[k]->used) memcpy(PyBytes_AsString(bytes), made[k]->data, made[k]->used);
            }
        } else {
            PyErr_NoMemory();
        }
    }
    for (int k = 0; k < MADE; k++) free(made[k]->data);
    free(page.kind_slots.data);
    free(page.stack.data);
    PyBuffer_Release(&data);
    PyBuffer_Release(&characters);
    PyBuffer_Release(&references);
    PyBuffer_Release(&starts);
    return result;
}

static PyMethodDef functions[] = {
    {"read", read_blocks, METH_VARARGS,
     "(page: UTF-8, characters: uint32, references, starts: int32) -> nodes, blocks, text, words of kinds, their starts, "
     "title, words of the blocks, of the title, of descriptions, of JSON-LD, as bytes"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_blocks", NULL, 0, functions, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__blocks(void) {
    enter_all();
    PyObject *result = PyModule_Create(&module);
    if (!result || PyModule_AddStringConstant(result, "TAGS", BLOCKS) || PyModule_AddIntConstant(result, "BUCKETS", BUCKETS))
        return NULL;
    return result;
}
