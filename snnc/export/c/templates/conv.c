/* Convolution, spike by spike: what is zero costs a look. `weight` is ordered by input channel, tap, output. */
static void conv(const INPUT *input, const WEIGHT *weight, const NAME_windows *shape, SUM *sum)
{
    const NAME_axis *const axis = shape->axis;
    const size_t taps = axis[0].kernel * axis[1].kernel * axis[2].kernel;
    const size_t planes = shape->outputs * axis[0].out * axis[1].out * axis[2].out;
    size_t group, channel, z, y, x;
    for (group = 0; group < shape->groups; group++, sum += planes) {
        for (channel = 0; channel < shape->inputs; channel++, weight += taps * shape->outputs) {
            for (z = 0; z < axis[0].in; z++) {
                for (y = 0; y < axis[1].in; y++) {
                    for (x = 0; x < axis[2].in; x++, input++) {
                        if (*input != 0) {
                            spread(shape, z, y, x, weight, (SUM)*input, sum);
                        }
                    }
                }
            }
        }
    }
}
