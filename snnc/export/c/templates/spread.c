/* What one spike at (z, y, x) adds to the planes `sum` of a group of outputs. `rows` has a row of weights for every tap. */
static void spread(const NAME_windows *shape, size_t z, size_t y, size_t x, const WEIGHT *rows, SUM value, SUM *sum)
{
    const NAME_axis *const axis = shape->axis;
    const size_t plane = axis[0].out * axis[1].out * axis[2].out;
    size_t i, j, k;
    for (i = 0; i < axis[0].kernel; i++) {
        const size_t at_z = window_at(&axis[0], z, i);
        for (j = 0; j < axis[1].kernel; j++) {
            const size_t at_y = at_z == NOWHERE ? NOWHERE : window_at(&axis[1], y, j);
            for (k = 0; k < axis[2].kernel; k++, rows += shape->outputs) {
                const size_t at_x = at_y == NOWHERE ? NOWHERE : window_at(&axis[2], x, k);
                if (at_x != NOWHERE) {
                    add_row(sum + (at_z * axis[1].out + at_y) * axis[2].out + at_x, plane, rows, shape->outputs, value);
                }
            }
        }
    }
}
