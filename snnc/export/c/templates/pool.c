/* Sums over windows: every element is added to all windows that see it, times the window's `factor` (NULL: 1). */
static void pool(const INPUT *input, const NAME_windows *shape, const int32_t *factor, SUM *sum)
{
    const NAME_axis *const axis = shape->axis;
    const size_t plane = axis[0].out * axis[1].out * axis[2].out;
    size_t channel, z, y, x, i, j, k;
    for (channel = 0; channel < shape->groups; channel++, sum += plane) {
        for (z = 0; z < axis[0].in; z++) {
            for (y = 0; y < axis[1].in; y++) {
                for (x = 0; x < axis[2].in; x++, input++) {
                    if (*input == 0) {
                        continue;
                    }
                    for (i = 0; i < axis[0].kernel; i++) {
                        const size_t at_z = window_at(&axis[0], z, i);
                        for (j = 0; at_z != NOWHERE && j < axis[1].kernel; j++) {
                            const size_t at_y = window_at(&axis[1], y, j);
                            for (k = 0; at_y != NOWHERE && k < axis[2].kernel; k++) {
                                const size_t at_x = window_at(&axis[2], x, k);
                                const size_t at = (at_z * axis[1].out + at_y) * axis[2].out + at_x;
                                if (at_x != NOWHERE) {
                                    sum[at] = (SUM)(sum[at] + *input * (factor == NULL ? 1 : factor[at]));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
