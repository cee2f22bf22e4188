/* Nothing here waits, opens or closes: where that is needed, Python is called. */

#include "binding/pooled.h"

#include <structmember.h>

#include "engine/clock.h"

static double
seconds(void)
{
    return (double)csq_now() / 1e9;
}

/* -- taking and giving back -------------------------------------------------------- */

/* Whether it can be handed out: it is open, and not too old. */
static bool
is_usable(const MemberObject *member, double now)
{
    const ConnectionObject *db = (const ConnectionObject *)member->db;

    return !member->broken && db != NULL && db->stage == CONNECTION_OPEN && member->ends >= now;
}

/* Lends the member that is idle for the shortest time; NULL: none, or not in the quick way. */
static MemberObject *
find_idle(const ShelfObject *shelf, double now)
{
    PyObject *last;
    Py_ssize_t count = shelf->quick ? PyList_GET_SIZE(shelf->idle) : 0;

    if (count == 0) {
        return NULL;
    }
    last = PyList_GET_ITEM(shelf->idle, count - 1);
    return PyObject_TypeCheck(last, shelf->state->member_type) &&
                   is_usable((MemberObject *)last, now)
               ? (MemberObject *)last
               : NULL;
}

int
pooled_take(ShelfObject *shelf, PyObject *call, MemberObject **member)
{
    double now = seconds();
    MemberObject *found = find_idle(shelf, now);
    Py_ssize_t last;

    *member = NULL;
    if (found == NULL) {
        return 0;
    }
    Py_INCREF(found);
    last = PyList_GET_SIZE(shelf->idle) - 1;
    if (PySet_Add(shelf->held, (PyObject *)found) < 0 ||
        PyList_SetSlice(shelf->idle, last, last + 1, NULL) < 0) {
        Py_DECREF(found);
        return -1;
    }
    found->held_since = now;
    found->call = call;
    Py_CLEAR(((ConnectionObject *)found->db)->last_sql);
    shelf->taken++;
    *member = found;
    return 0;
}

/* Puts it where it was. False: shelf.py has to be asked. */
static bool
put_back(ShelfObject *shelf, MemberObject *member)
{
    double now = seconds();

    if (!shelf->quick || !is_usable(member, now) ||
        PyList_Append(shelf->idle, (PyObject *)member) < 0) {
        return false;
    }
    if (PySet_Discard(shelf->held, (PyObject *)member) < 0) {
        PyErr_WriteUnraisable((PyObject *)shelf);
    }
    member->idle_since = now;
    shelf->used += now - member->held_since;
    return true;
}

void
pooled_give_back(ShelfObject *shelf, MemberObject *member)
{
    PyObject *exception = PyErr_Occurred() == NULL ? NULL : compat_take_exception();

    member->call = NULL;
    if (!put_back(shelf, member)) {
        PyObject *done;

        PyErr_Clear();
        done = PyObject_CallMethod((PyObject *)shelf, "give_back", "O", (PyObject *)member);
        if (done == NULL) {
            PyErr_WriteUnraisable((PyObject *)shelf);
        }
        Py_XDECREF(done);
    }
    Py_DECREF(member);
    if (exception != NULL) {
        compat_give_exception(exception);
    }
}

/* -- the member -------------------------------------------------------------------- */

static int
member_init(MemberObject *self, PyObject *args, PyObject *kwargs)
{
    struct module_state *state = module_state_of_type(Py_TYPE(self));
    static const char *const names[] = {"db", NULL};
    PyObject *db;

    if (state == NULL || !PyArg_ParseTupleAndKeywords(args, kwargs, "O!:Member", (char **)names,
                                                      state->connection_type, &db)) {
        return -1;
    }
    Py_XSETREF(self->db, Py_NewRef(db));
    ((ConnectionObject *)db)->notes_sql = true;
    self->held_since = self->idle_since = seconds();
    return 0;
}

static int
member_traverse(MemberObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->db);
    Py_VISIT(self->holder);
    return 0;
}

static int
member_clear(MemberObject *self)
{
    Py_CLEAR(self->db);
    Py_CLEAR(self->holder);
    return 0;
}

static void
member_dealloc(MemberObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    member_clear(self);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyObject *
member_get_call(MemberObject *self, void *closure)
{
    (void)closure;
    return Py_NewRef(self->call == NULL ? Py_None : self->call);
}

static PyGetSetDef member_getset[] = {
    {"call", (getter)member_get_call, NULL, "The call that has it, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMemberDef member_members[] = {
    {"db", T_OBJECT, offsetof(MemberObject, db), READONLY, "The connection."},
    {"holder", T_OBJECT, offsetof(MemberObject, holder), 0, "The task that has it, or None."},
    {"held_since", T_DOUBLE, offsetof(MemberObject, held_since), 0, "By time.monotonic()."},
    {"idle_since", T_DOUBLE, offsetof(MemberObject, idle_since), 0, "By time.monotonic()."},
    {"ends", T_DOUBLE, offsetof(MemberObject, ends), 0, "When it is to be replaced."},
    {"broken", T_BOOL, offsetof(MemberObject, broken), 0, "Whether it is not to be used again."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(member_doc, "Member(db)\n--\n\n"
                         "A connection of a pool: the base of csqlite.pool.member.Member.");

static PyType_Slot member_slots[] = {
    {Py_tp_doc, (void *)member_doc},   {Py_tp_init, member_init},
    {Py_tp_traverse, member_traverse}, {Py_tp_clear, member_clear},
    {Py_tp_dealloc, member_dealloc},   {Py_tp_getset, member_getset},
    {Py_tp_members, member_members},   {0, NULL},
};

static PyType_Spec member_spec = {
    .name = "csqlite._csqlite.Member",
    .basicsize = sizeof(MemberObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = member_slots,
};

/* -- the shelf --------------------------------------------------------------------- */

static PyObject *
shelf_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct module_state *state = module_state_of_type(type);
    ShelfObject *self = state == NULL ? NULL : (ShelfObject *)type->tp_alloc(type, 0);

    (void)args;
    (void)kwargs;
    if (self == NULL) {
        return NULL;
    }
    self->state = state;
    self->idle = PyList_New(0);
    self->held = PySet_New(NULL);
    if (self->idle == NULL || self->held == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}

static int
shelf_traverse(ShelfObject *self, visitproc visit, void *arg)
{
    COMPAT_VISIT_TYPE(self);
    Py_VISIT(self->idle);
    Py_VISIT(self->held);
    return 0;
}

/* The list and the set stay, emptied: a call that is under way may still use them. */
static int
shelf_clear(ShelfObject *self)
{
    if (self->idle != NULL && PyList_SetSlice(self->idle, 0, PY_SSIZE_T_MAX, NULL) < 0) {
        PyErr_Clear();
    }
    if (self->held != NULL && PySet_Clear(self->held) < 0) {
        PyErr_Clear();
    }
    return 0;
}

static void
shelf_dealloc(ShelfObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    Py_XDECREF(self->idle);
    Py_XDECREF(self->held);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMemberDef shelf_members[] = {
    {"idle", T_OBJECT, offsetof(ShelfObject, idle), READONLY,
     "Members that nobody has, the last that came back at the end."},
    {"held", T_OBJECT, offsetof(ShelfObject, held), READONLY, "Members that somebody has."},
    {"taken", T_LONGLONG, offsetof(ShelfObject, taken), 0,
     "How many were taken in the quick way, since this was set to 0."},
    {"used", T_DOUBLE, offsetof(ShelfObject, used), 0, "For how many seconds these were held."},
    {"quick", T_BOOL, offsetof(ShelfObject, quick), 0,
     "Whether there is nothing to ask when one is taken or comes back."},
    {NULL, 0, 0, 0, NULL},
};

PyDoc_STRVAR(shelf_doc, "Shelf()\n--\n\n"
                        "The connections of one kind: the base of csqlite.pool.shelf.Shelf.");

static PyType_Slot shelf_slots[] = {
    {Py_tp_doc, (void *)shelf_doc},
    {Py_tp_new, shelf_new},
    {Py_tp_traverse, shelf_traverse},
    {Py_tp_clear, shelf_clear},
    {Py_tp_dealloc, shelf_dealloc},
    {Py_tp_members, shelf_members},
    {0, NULL},
};

static PyType_Spec shelf_spec = {
    .name = "csqlite._csqlite.Shelf",
    .basicsize = sizeof(ShelfObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = shelf_slots,
};

int
pooled_init_types(struct module_state *state, PyObject *module)
{
    state->member_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &member_spec, NULL);
    state->shelf_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &shelf_spec, NULL);
    if (state->member_type == NULL || state->shelf_type == NULL ||
        PyModule_AddObject(module, "Member", Py_NewRef((PyObject *)state->member_type)) < 0) {
        return -1;
    }
    return PyModule_AddObject(module, "Shelf", Py_NewRef((PyObject *)state->shelf_type));
}
