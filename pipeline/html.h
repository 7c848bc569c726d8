/* HTML as the standard reads it (13.2.5): tags and their attributes, comments, raw text, character references. */

#include "native.h"

/* What is left of a page. */
typedef struct {
    const char *at, *stop;
} Text;

static int is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r' || c == '\f'; }
static int is_letter(char c) { return (unsigned)((c | 0x20) - 'a') < 26u; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

/* Whether `at` begins with a word in any case. word: in small letters. */
static int begins(const char *at, const char *stop, const char *word, Py_ssize_t length) {
    if (stop - at < length) return 0;
    for (Py_ssize_t k = 0; k < length; k++)
        if (lower(at[k]) != word[k]) return 0;
    return 1;
}

/* A tag as it stands. Values point into the page, references in them are not resolved. */
enum { MAX_NAME = 32, MAX_ATTRIBUTES = 48 };
typedef struct {
    const char *start;
    Py_ssize_t length;
} Value;
typedef struct {
    char name[MAX_NAME];
    int length, is_end, is_empty, count;
    struct {
        Value name, value;
    } attributes[MAX_ATTRIBUTES];
} Tag;

static int is(const char *name, Py_ssize_t length, const char *word) {
    return (Py_ssize_t)strlen(word) == length && begins(name, name + length, word, length);
}

static int is_named(const Tag *tag, const char *name) { return is(tag->name, tag->length, name); }

/* The value of an attribute, the first one where it stands twice; its start is NULL where there is none. */
static inline Value find_attribute(const Tag *tag, const char *name) {
    for (int k = 0; k < tag->count; k++)
        if (is(tag->attributes[k].name.start, tag->attributes[k].name.length, name)) return tag->attributes[k].value;
    return (Value){NULL, 0};
}

/* The value behind an attribute's '='; 0: the page ends before it does. */
static int read_value(Text *text, Value *value) {
    const char *at = text->at, *stop = text->stop;
    while (at < stop && is_space(*at)) at++;
    if (at == stop) return 0;
    value->start = at;
    if (*at == '"' || *at == '\'') {
        value->start++;
        const char *end = memchr(value->start, *at, (size_t)(stop - value->start));
        if (!end) return 0;
        value->length = end - value->start;
        at = end + 1;
    } else {
        while (at < stop && !is_space(*at) && *at != '>') at++;
        value->length = at - value->start;
    }
    text->at = at;
    return 1;
}

/* Read a tag whose '<' (and '/') lies behind; the name begins here. 0: the page ends before the tag does. Of a name the
   first MAX_NAME - 1 bytes count, of attributes the first MAX_ATTRIBUTES. */
static int read_tag(Text *text, Tag *tag, int is_end) {
    const char *at = text->at, *stop = text->stop;
    tag->length = tag->count = 0;
    tag->is_end = is_end;
    for (; at < stop && !is_space(*at) && *at != '/' && *at != '>'; at++)
        if (tag->length < MAX_NAME - 1) tag->name[tag->length++] = lower(*at);
    for (;;) {
        tag->is_empty = 0;
        while (at < stop && (is_space(*at) || *at == '/')) tag->is_empty = *at++ == '/';
        if (at == stop) return 0;
        if (*at == '>') return text->at = at + 1, 1;
        Value name = {at++, 0}, value = {at, 0};
        while (at < stop && !is_space(*at) && *at != '/' && *at != '>' && *at != '=') at++;
        name.length = at - name.start;
        value.start = at;
        const char *next = at;
        while (next < stop && is_space(*next)) next++;
        if (next < stop && *next == '=') {
            text->at = next + 1;
            if (!read_value(text, &value)) return 0;
            at = text->at;
        }
        if (is_end || tag->count == MAX_ATTRIBUTES) continue;
        tag->attributes[tag->count].name = name;
        tag->attributes[tag->count++].value = value;
    }
}

/* Go behind a comment whose "<!--" lies behind. */
static void pass_comment(Text *text) {
    const char *at = text->at, *stop = text->stop;
    text->at = stop;
    if (at < stop && *at == '>') {
        text->at = at + 1;
        return;
    }
    if (stop - at > 1 && at[0] == '-' && at[1] == '>') {
        text->at = at + 2;
        return;
    }
    while ((at = memchr(at, '-', (size_t)(stop - at)))) {
        if (stop - at > 2 && at[1] == '-' && at[2] == '>') {
            text->at = at + 3;
            return;
        }
        if (stop - at > 3 && at[1] == '-' && at[2] == '!' && at[3] == '>') {
            text->at = at + 4;
            return;
        }
        at++;
    }
}

/* Where the raw text of an element ends, at its end tag's '<'. A script may hold one that is commented out. */
static const char *end_of_raw(const Text *text, const Tag *tag) {
    int is_script = is_named(tag, "script"), state = 0;
    const char *stop = text->stop;
    for (const char *at = text->at; at < stop; at++) {
        at = is_script && state ? at : memchr(at, '<', (size_t)(stop - at));
        if (!at) break;
        if (*at == '-' && state && begins(at, stop, "-->", 3)) state = 0;
        if (*at != '<') continue;
        if (is_script && !state && begins(at, stop, "<!--", 4)) state = 1, at += 1;
        const char *name = at + 1 + (at + 1 < stop && at[1] == '/');
        if (!begins(name, stop, tag->name, tag->length) || name + tag->length == stop) continue;
        char behind = name[tag->length];
        if (!is_space(behind) && behind != '/' && behind != '>') continue;
        if (name == at + 1)
            state = state == 1 ? 2 : state;
        else if (state == 2)
            state = 1;
        else
            return at;
    }
    return stop;
}

/* --- characters ----------------------------------------------------------------------------------------------------- */

/* Named references: name, NUL, value, NUL at each start, sorted by name. */
typedef struct {
    const char *names;
    const int32_t *starts;
    Py_ssize_t count;
} References;

/* The length of a UTF-8 sequence and its code point; damage is read as U+FFFD, a byte at a time. */
static inline int decode(const char *at, const char *stop, uint32_t *point) {
    const uint8_t *b = (const uint8_t *)at;
    Py_ssize_t left = stop - at;
    if (b[0] < 0x80) return *point = b[0], 1;
    if (b[0] >= 0xc2 && b[0] < 0xe0 && left > 1 && (b[1] & 0xc0) == 0x80)
        return *point = (uint32_t)(b[0] & 31) << 6 | (b[1] & 63), 2;
    if ((b[0] & 0xf0) == 0xe0 && left > 2 && (b[1] & 0xc0) == 0x80 && (b[2] & 0xc0) == 0x80) {
        *point = (uint32_t)(b[0] & 15) << 12 | (uint32_t)(b[1] & 63) << 6 | (b[2] & 63);
        if (*point >= 0x800 && (*point < 0xd800 || *point >= 0xe000)) return 3;
    }
    if (b[0] >= 0xf0 && b[0] < 0xf5 && left > 3 && (b[1] & 0xc0) == 0x80 && (b[2] & 0xc0) == 0x80 &&
        (b[3] & 0xc0) == 0x80) {
        *point = (uint32_t)(b[0] & 7) << 18 | (uint32_t)(b[1] & 63) << 12 | (uint32_t)(b[2] & 63) << 6 | (b[3] & 63);
        if (*point >= 0x10000 && *point < CODE_POINTS) return 4;
    }
    return *point = 0xfffd, 1;
}

static inline int encode(uint32_t point, char *to) {
    if (point < 0x80) return to[0] = (char)point, 1;
    if (point < 0x800) return to[0] = (char)(0xc0 | point >> 6), to[1] = (char)(0x80 | (point & 63)), 2;
    if (point < 0x10000)
        return to[0] = (char)(0xe0 | point >> 12), to[1] = (char)(0x80 | (point >> 6 & 63)),
               to[2] = (char)(0x80 | (point & 63)), 3;
    return to[0] = (char)(0xf0 | point >> 18), to[1] = (char)(0x80 | (point >> 12 & 63)),
           to[2] = (char)(0x80 | (point >> 6 & 63)), to[3] = (char)(0x80 | (point & 63)), 4;
}

/* The value of a named reference, name0value0 at each start, sorted by name; NULL where there is no such name. */
static inline const char *find_reference(const References *references, const char *name, size_t length) {
    Py_ssize_t low = 0, high = references->count;
    while (low < high) {
        Py_ssize_t middle = (low + high) / 2;
        const char *own = references->names + references->starts[middle];
        int order = strncmp(own, name, length);
        if (!order && own[length]) order = 1;
        if (!order) return own + length + 1;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static const uint16_t WINDOWS_1252[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160,
                                          0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
                                          0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};

/* A character reference: writes its UTF-8 (8 bytes at most) and says how much of the page it takes; 0: it is none. */
static inline Py_ssize_t read_reference(const References *references, const char *at, const char *stop, char *to, int *size) {
    const char *from = at + 1;
    if (from < stop && *from == '#') {
        from++;
        int hexadecimal = from < stop && (*from | 0x20) == 'x';
        from += hexadecimal;
        const char *digits = from;
        uint32_t point = 0;
        for (; from < stop; from++) {
            int digit = *from >= '0' && *from <= '9' ? *from - '0' : (*from | 0x20) >= 'a' && (*from | 0x20) <= 'f' ? (*from | 0x20) - 'a' + 10 : 99;
            if (digit >= (hexadecimal ? 16 : 10)) break;
            if (point < CODE_POINTS) point = point * (hexadecimal ? 16 : 10) + (uint32_t)digit;
        }
        if (from == digits) return 0;
        if (point >= 0x80 && point < 0xa0) point = WINDOWS_1252[point - 0x80];
        if (!point || point >= CODE_POINTS || (point >= 0xd800 && point < 0xe000)) point = 0xfffd;
        *size = encode(point, to);
        return from - at + (from < stop && *from == ';');
    }
    size_t length = 0, most = (size_t)(stop - from) < MAX_NAME ? (size_t)(stop - from) : MAX_NAME;
    while (length < most && ((from[length] | 0x20) - 'a' + 0u < 26u || from[length] - '0' + 0u < 10u)) length++;
    const char *value = NULL;
    if (length < most && from[length] == ';' && (value = find_reference(references, from, length + 1))) {
        length++;
    } else {  // names that are known without a semicolon have two to six letters
        for (length = length < 6 ? length : 6; length > 1 && !(value = find_reference(references, from, length));) length--;
    }
    if (!value) return 0;
    *size = (int)strlen(value);
    memcpy(to, value, (size_t)*size);
    return (Py_ssize_t)length + 1;
}

