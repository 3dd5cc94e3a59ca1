/* Max-pooling of spike counts: a window fires when its largest count changes. Returns how many fire. */
static uint32_t fire_maximum(const int8_t *input, COUNT *counts, const NAME_windows *shape, int8_t *spikes)
{
    const NAME_axis *const axis = shape->axis;
    const size_t plane = axis[0].in * axis[1].in * axis[2].in;
    uint32_t fired = 0;
    size_t channel, z, y, x, i, j, k;
    for (i = 0; i < shape->groups * plane; i++) {
        counts[i] = (COUNT)(counts[i] + input[i]);
    }
    for (channel = 0; channel < shape->groups; channel++, counts += plane, input += plane) {
        for (z = 0; z < axis[0].out; z++) {
            for (y = 0; y < axis[1].out; y++) {
                for (x = 0; x < axis[2].out; x++, spikes++) {
                    int32_t before = INT32_MIN, now = INT32_MIN;
                    for (i = 0; i < axis[0].kernel; i++) {
                        const size_t at_z = seen(&axis[0], z, i);
                        for (j = 0; at_z != NOWHERE && j < axis[1].kernel; j++) {
                            const size_t at_y = seen(&axis[1], y, j);
                            for (k = 0; at_y != NOWHERE && k < axis[2].kernel; k++) {
                                const size_t at_x = seen(&axis[2], x, k);
                                if (at_x != NOWHERE) {
                                    const size_t at = (at_z * axis[1].in + at_y) * axis[2].in + at_x;
                                    const int32_t count = counts[at], last = count - input[at];
                                    now = count > now ? count : now;
                                    before = last > before ? last : before;
                                }
                            }
                        }
                    }
                    *spikes = (int8_t)(now - before);
                    fired += *spikes != 0;
                }
            }
        }
    }
    return fired;
}
