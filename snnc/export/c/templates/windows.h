/* One axis of a window that moves over a plane: sizes, and what lies between taps and between windows. */
typedef struct {
    size_t in, out, kernel, stride, dilation, pad;
} NAME_axis;

/* Windows over planes of up to three axes (axes that are not there have size 1). `groups` of channels do not see each
   other; each has `inputs` and `outputs` of them. */
typedef struct {
    size_t groups, inputs, outputs;
    NAME_axis axis[3];
} NAME_windows;

/* The position of what lies outside. */
#define NOWHERE ((size_t)-1)
