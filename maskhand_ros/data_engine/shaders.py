"""Shaders of the renderer (GLSL 3.30): skin, nails, gloves, bands, sleeves, things, light, shadow."""

NEAR, FAR = 0.05, 6.0
SHADOW_SIZE = 384

VERTEX = """#version 330
in vec3 place; in vec3 normal; in vec3 texture_place; in vec3 marks;
uniform vec4 lens; uniform vec2 resolution; uniform mat4 to_light;
out vec3 v_normal; out vec3 v_place; out vec3 v_texture; out vec3 v_marks; out vec3 v_light;
void main() {
  vec2 px = vec2(lens.x * place.x / place.z + lens.z, lens.y * place.y / place.z + lens.w);
  vec2 ndc = 2.0 * (px + 0.5) / resolution - 1.0;
  float depth = (1.0 / NEAR - 1.0 / place.z) / (1.0 / NEAR - 1.0 / FAR) * 2.0 - 1.0;
  gl_Position = vec4(ndc, depth, 1.0) * place.z;
  v_normal = normal; v_place = place; v_texture = texture_place; v_marks = marks;
  v_light = (to_light * vec4(place + 0.0015 * normal, 1.0)).xyz * 0.5 + 0.5;
}""".replace('NEAR', str(NEAR)).replace('FAR', str(FAR))

FRAGMENT = """#version 330
in vec3 v_normal; in vec3 v_place; in vec3 v_texture; in vec3 v_marks; in vec3 v_light;
out vec4 colour;
uniform sampler2D noise; uniform sampler2DShadow shadow;
uniform vec3 skin; uniform vec3 palm; uniform vec3 nail; uniform vec3 sleeve;
uniform float sleeve_from; uniform float rough; uniform float gloss; uniform float bump; uniform float mottle;
uniform float grain; uniform vec2 offset; uniform float skinned; uniform float exposure;
uniform vec3 key; uniform vec3 key_colour; uniform vec3 fill; uniform vec3 fill_colour;
uniform vec3 sky; uniform vec3 ground; uniform float shade;
uniform vec3 worn; uniform vec3 worn_palm; uniform vec2 worn_range; uniform float weave;
uniform vec3 band; uniform vec2 band_range; uniform vec3 ink; uniform float mark;
vec3 lit(vec3 n, vec3 v, vec3 to, vec3 albedo, float r, float soft) {
  float cosine = dot(n, to);
  vec3 wrap = soft * vec3(.28, .12, .08) + .02;
  vec3 diffuse = max((cosine + wrap) / (1.0 + wrap), 0.0);
  vec3 h = normalize(to + v);
  float a = r * r * r * r, nh = max(dot(n, h), 0.0), d = nh * nh * (a - 1.0) + 1.0;
  float fresnel = .04 + .96 * pow(1.0 - max(dot(h, v), 0.0), 5.0);
  return albedo * diffuse + gloss * a / (3.14 * d * d) * fresnel * .25 * max(cosine, 0.0);
}
void main() {
  vec3 n = normalize(v_normal), v = normalize(-v_place);
  if (dot(n, v) < 0.0 && skinned < .5) n = -n;
  vec4 fine = texture(noise, v_texture.xz * 24.0 + offset + v_texture.y * 3.0);
  vec4 coarse = texture(noise, v_texture.xz * 5.0 + offset.yx + v_texture.y * 4.0);
  n = normalize(n + bump * (fine.xyz - .5));
  vec3 albedo = mix(skin, palm, v_marks.y) * (1.0 + mottle * (coarse.x - .5) + .6 * mottle * (fine.w - .5));
  albedo.r *= 1.0 + .35 * mottle * (coarse.y - .5);
  if (mark > 0.0) {
    vec4 drawn = texture(noise, v_texture.xz * 1.7 + offset.xx + v_texture.y * 1.3);
    albedo = mix(albedo, ink, mark * smoothstep(.67, .70, drawn.x));
  }
  albedo = mix(albedo, nail, v_marks.x);
  float r = mix(rough, .3, v_marks.x), soft = 1.0;
  if (skinned < .5 || v_texture.x > sleeve_from) {
    albedo = sleeve * (1.0 + grain * (fine.x - .5) + grain * sin(v_texture.x * 900.0 * offset.x) * .25);
    r = skinned < .5 ? rough : .9; soft = 0.0;
  }
  if (skinned > .5 && v_texture.x > worn_range.x && v_texture.x < worn_range.y) {
    float knit = weave * sin(v_texture.x * 2600.0) * sin((v_texture.z + v_texture.y) * 2600.0);
    albedo = mix(worn, worn_palm, v_marks.y);
    albedo *= 1.0 + grain * (fine.x - .5) + mottle * (coarse.x - .5) + knit;
    r = rough; soft = .1;
  }
  if (skinned > .5 && v_texture.x > band_range.x && v_texture.x < band_range.y) {
    albedo = band * (1.0 + .3 * sin(v_texture.x * 1500.0)); r = .35; soft = 0.0;
  }
  float open = 1.0;
  if (shade > 0.0) {
    float sum = 0.0; vec2 texel = vec2(1.3 / SHADOW);
    for (int i = 0; i < 4; i++)
      sum += texture(shadow, v_light + vec3(texel * (vec2(i & 1, i >> 1) * 2.0 - 1.0), -.004));
    open = 1.0 - shade * (1.0 - sum * .25);
  }
  vec3 light = albedo * mix(ground, sky, .5 - .5 * n.y) * v_marks.z;
  light += key_colour * open * mix(1.0, v_marks.z, .35) * lit(n, v, key, albedo, r, soft);
  light += fill_colour * v_marks.z * lit(n, v, fill, albedo, r, soft);
  colour = vec4(pow(clamp(exposure * light, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0);
}""".replace('SHADOW', f'{SHADOW_SIZE}.0')

SHADOW_VERTEX = """#version 330
in vec3 place; uniform mat4 to_light;
void main() { gl_Position = to_light * vec4(place, 1.0); }"""
