/* What the product of two spike counts changes by: A' * B' - A * B, with A' and B' the counts after this step's spikes. */
static void multiply(const int8_t *first, const COUNT *first_counts, const int8_t *second, const INPUT *second_counts,
                     const NAME_product *shape, size_t count, SUM *current)
{
    size_t place[MOST_AXES] = {0}, a = 0, b = 0, i, axis;
    for (i = 0; i < count; i++) {
        const int32_t new_a = first_counts[a], new_b = second_counts[b];
        current[i] = (SUM)(new_a * new_b - (new_a - first[a]) * (new_b - second[b]));
        for (axis = MOST_AXES; axis-- > 0;) { /* the next element: the last axis runs fastest */
            a += shape->first[axis];
            b += shape->second[axis];
            if (++place[axis] < shape->size[axis]) {
                break;
            }
            place[axis] = 0;
            a -= shape->first[axis] * shape->size[axis];
            b -= shape->second[axis] * shape->size[axis];
        }
    }
}
