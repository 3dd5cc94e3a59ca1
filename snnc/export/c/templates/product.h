/* A product of two tensors: sizes of the result, and how far the operands go on along each axis (0: they stay). */
typedef struct {
    size_t size[MOST_AXES], first[MOST_AXES], second[MOST_AXES];
} NAME_product;
