/* What the compiled modules share. Each stands beside the Python module that it works for (_words.c for words.py), takes
   buffers (bytes, numpy arrays), returns bytes, keeps no state and no reference, and is held equal to a plain
   implementation by the tests. Whole numbers, and sums of doubles in a fixed order: every machine computes the same
   (-ffp-contract=off). The limited API: one build serves every Python from 3.11 on. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CODE_POINTS 0x110000

/* A loop that wide registers speed up: compiled for several processors, chosen when the module is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define CLONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define CLONED
#endif

/* The bits of a code point in words.classes(). */
enum { LETTER = 1, MARK = 2, DIGIT = 4, SPACE = 8, UNSPACED = 16, APOSTROPHE = 32, POINT = 64, CODE = 128 };

/* The number of items in a buffer of `size` bytes each; -1 and an exception where it holds no whole number of them. */
static inline Py_ssize_t items(const Py_buffer *buffer, size_t size) {
    if (buffer->len % (Py_ssize_t)size == 0) return buffer->len / (Py_ssize_t)size;
    PyErr_Format(PyExc_ValueError, "a buffer of %zd bytes is none of items of %zu bytes", buffer->len, size);
    return -1;
}

/* Whether a buffer has exactly so many bytes; an exception if not. */
static inline int has(const Py_buffer *buffer, Py_ssize_t bytes, const char *what) {
    if (buffer->len == bytes) return 1;
    PyErr_Format(PyExc_ValueError, "%s: %zd bytes, not %zd", what, buffer->len, bytes);
    return 0;
}
