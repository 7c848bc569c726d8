/* The rows of blocks.Tree. */

/* A node. The blocks first..last-1 are inside it. */
typedef struct {
    int32_t parent, kind, tag, first, last;
} Node;

/* A block: its node, its bytes in the text, whether it ends like a sentence, and counts: code points, words, code points
   by class and in links, links that begin. */
typedef struct {
    int32_t owner, start, stop, ended, characters, tokens, digits, signs, commas, ends, upper, linked, links;
} Block;
