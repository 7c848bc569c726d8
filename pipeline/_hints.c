/* hints.tags: the tags of a page's head that say something about the page. */

#include "html.h"

static int is_one_of(const Tag *tag, const char *const *names) {
    for (; *names; names++)
        if (is_named(tag, *names)) return 1;
    return 0;
}

/* The attributes that hints are made of. Values are decoded as UTF-8; references in them stay as they are. */
static PyObject *attributes_of(const Tag *tag) {
    static const char *const KNOWN[] = {"name", "property", "itemprop", "content", "http-equiv", "lang", "xml:lang", "rel",
                                        "href"};
    PyObject *all = PyDict_New();
    for (size_t k = 0; all && k < sizeof KNOWN / sizeof *KNOWN; k++) {
        Value value = find_attribute(tag, KNOWN[k]);
        if (!value.start) continue;
        PyObject *text = PyUnicode_DecodeUTF8(value.start, value.length, "replace");
        if (!text || PyDict_SetItemString(all, KNOWN[k], text)) Py_CLEAR(all);
        Py_XDECREF(text);
    }
    return all;
}

/* Whether a <link> says where the page belongs: the others, of styles and icons, are many. */
static int is_canonical(const Tag *tag) {
    Value rel = find_attribute(tag, "rel");
    for (const char *at = rel.start; at && at < rel.start + rel.length; at++)
        if (begins(at, rel.start + rel.length, "canonical", 9)) return 1;
    return 0;
}

static int add_tag(PyObject *found, const Tag *tag) {
    PyObject *attributes = attributes_of(tag);
    PyObject *pair = attributes ? Py_BuildValue("(s#N)", tag->name, (Py_ssize_t)tag->length, attributes) : NULL;
    int added = pair && !PyList_Append(found, pair);
    Py_XDECREF(pair);
    return added;
}

/* The list of tags up to the body; NULL and an exception if memory is out. */
static PyObject *read_head(Text *text) {
    static const char *const TOLD[] = {"html", "meta", "link", NULL};
    static const char *const PASSED[] = {"script", "style", "title", "textarea", "noframes", "xmp", "iframe", NULL};
    PyObject *found = PyList_New(0);
    int in_template = 0;
    Tag tag;
    while (found && (text->at = memchr(text->at, '<', (size_t)(text->stop - text->at)))) {
        const char *at = text->at;
        if (begins(at, text->stop, "<!--", 4)) {
            text->at += 4;
            pass_comment(text);
            continue;
        }
        int is_end = text->stop - at > 1 && at[1] == '/';
        text->at += 1 + is_end;
        if (text->at == text->stop || !is_letter(*text->at)) continue;
        if (!read_tag(text, &tag, is_end)) break;
        if (is_named(&tag, "template")) in_template = !is_end;
        if ((is_end && is_named(&tag, "head")) || (!is_end && is_named(&tag, "body"))) break;
        if (is_end || in_template) continue;
        int tells = is_one_of(&tag, TOLD) && (!is_named(&tag, "link") || is_canonical(&tag));
        if (tells && !add_tag(found, &tag)) Py_CLEAR(found);
        if (is_one_of(&tag, PASSED)) text->at = end_of_raw(text, &tag);
    }
    return found;
}

static PyObject *tags(PyObject *self, PyObject *arguments) {
    (void)self;
    Py_buffer data;
    if (!PyArg_ParseTuple(arguments, "y*", &data)) return NULL;
    Text text = {data.buf, (const char *)data.buf + data.len};
    PyObject *result = read_head(&text);
    PyBuffer_Release(&data);
    return result;
}

static PyMethodDef functions[] = {
    {"tags", tags, METH_VARARGS, "(page: UTF-8) -> [(name, {attribute: value})] of <html>, <meta>, <link> in the head"},
    {NULL, NULL, 0, NULL},
};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_hints", NULL, 0, functions, NULL, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__hints(void) { return PyModule_Create(&module); }
